UPDATE outbox_messages SET state = 'expired' WHERE id IN (
    SELECT id FROM outbox_messages
    WHERE state = 'unknown' AND finished_at < clock_timestamp() - $2::bigint * interval '1 second'
    ORDER BY finished_at LIMIT $1)
