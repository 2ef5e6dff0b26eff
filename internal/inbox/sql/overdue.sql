-- Whether a lane's first message has been due for longer than $1 milliseconds.
SELECT EXISTS (
    SELECT 1 FROM inbox_messages
    WHERE state = 'pending'
    GROUP BY source, lane
    HAVING max(due_at) <= clock_timestamp() - $1::bigint * interval '1 millisecond'
)
