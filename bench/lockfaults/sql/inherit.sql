UPDATE jobs SET epoch = $2 WHERE id = $1
