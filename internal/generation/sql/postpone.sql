UPDATE generations SET due_at = clock_timestamp() + $2::bigint * interval '1 millisecond'
WHERE id = $1 AND state IN ('held', 'submitting', 'running', 'unknown')
