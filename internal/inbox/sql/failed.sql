-- Counts a failed attempt. The whole lane waits for its first message, so that
-- order is kept; after the last attempt the message is set aside.
WITH tried AS (
    UPDATE inbox_messages SET attempts = attempts + 1, error = $2,
           state = CASE WHEN attempts + 1 >= $3 THEN 'failed' ELSE 'pending' END,
           due_at = clock_timestamp() + $4::bigint * interval '1 millisecond'
    WHERE id = $1 AND state = 'pending'
    RETURNING id, source, lane, state, due_at
), held_back AS (
    UPDATE inbox_messages m SET due_at = tried.due_at FROM tried
    WHERE tried.state = 'pending' AND m.state = 'pending' AND m.source = tried.source AND m.lane = tried.lane AND m.id <> tried.id
)
SELECT state FROM tried
