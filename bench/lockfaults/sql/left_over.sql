-- A job that an earlier term claimed and did not finish, or gave back.
SELECT id FROM jobs WHERE NOT done AND epoch < $1 ORDER BY id LIMIT 1
