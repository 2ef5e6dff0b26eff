UPDATE generations SET stage = $2 WHERE id = $1 AND stage <> $2
