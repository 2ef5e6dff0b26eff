SELECT id, due_at - clock_timestamp() FROM orders
WHERE state IN ('held', 'submitting', 'running', 'unknown') AND id <> ALL ($1::uuid[]) AND due_at <= clock_timestamp() + interval '1 second'
ORDER BY due_at
LIMIT $2
