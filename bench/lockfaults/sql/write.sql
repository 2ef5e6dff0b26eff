WITH next AS (
    UPDATE counter SET n = n + 1 RETURNING n
)
INSERT INTO commits (n, epoch, instance, op) SELECT n, $1, $2, $3 FROM next
