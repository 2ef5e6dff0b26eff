-- Counts a failed attempt. The message rests, and its whole lane with it, so that
-- order is kept; after the last attempt it is set aside.
UPDATE inbox_messages SET attempts = attempts + 1, error = $2,
       state = CASE WHEN attempts + 1 >= $3 THEN 'failed' ELSE 'pending' END,
       due_at = clock_timestamp() + $4::bigint * interval '1 millisecond'
WHERE id = $1 AND state = 'pending'
RETURNING state
