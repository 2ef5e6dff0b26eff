SELECT id, lane FROM inbox_messages
WHERE source = $2 AND state IN ('pending', 'failed') AND received_at < clock_timestamp() - $3::bigint * interval '1 second'
ORDER BY id LIMIT $1
FOR UPDATE SKIP LOCKED
