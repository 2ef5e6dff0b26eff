-- Whether a chat's first message has been due for longer than $1 milliseconds.
-- What waits behind a postponed one is not late.
SELECT EXISTS (
    SELECT 1 FROM (
        SELECT DISTINCT ON (chat_id, urgent) state, due_at
        FROM outbox_messages WHERE state IN ('pending', 'sending')
        ORDER BY chat_id, urgent, id
    ) AS head
    WHERE head.state = 'pending' AND head.due_at <= clock_timestamp() - $1::bigint * interval '1 millisecond'
)
