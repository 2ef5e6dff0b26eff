-- The lane's next message: arrival order within one of the sender's queues, the
-- sender's own numbers among the first of each queue.
SELECT m.id, m.key, m.body, m.attempts, coalesce(m.trace_id, '00000000-0000-0000-0000-000000000000'),
       m.due_at <= clock_timestamp(), extract(epoch FROM clock_timestamp() - m.received_at)::float8
FROM inbox_messages m
WHERE m.id = (
    SELECT head.id FROM (
        SELECT DISTINCT ON (queue) id, position FROM inbox_messages
        WHERE state = 'pending' AND source = $1 AND lane = $2
        ORDER BY queue, id
    ) AS head
    ORDER BY head.position, head.id LIMIT 1)
FOR UPDATE
