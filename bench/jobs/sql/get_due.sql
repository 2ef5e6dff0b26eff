SELECT state, due_at <= clock_timestamp() FROM orders WHERE id = $1
