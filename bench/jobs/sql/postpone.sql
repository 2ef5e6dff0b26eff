UPDATE orders SET due_at = clock_timestamp() + $2::bigint * interval '1 millisecond' WHERE id = $1 AND state = 'running'
