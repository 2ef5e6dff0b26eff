-- Chats whose first waiting message is due, answers to presses before any
-- backlog, and then those whose is within the poll; with the time until then. The
-- first message of a chat holds the others back, so that they arrive in order. What
-- a term before $4 had claimed may still be under way.
SELECT head.chat_id, head.urgent, head.due_at - clock_timestamp()
FROM (
    SELECT DISTINCT ON (chat_id, urgent) chat_id, urgent, id, due_at, state, claim_epoch
    FROM outbox_messages WHERE state IN ('pending', 'sending')
    ORDER BY chat_id, urgent, id
) AS head
WHERE head.due_at <= clock_timestamp() + interval '1 second'
  AND NOT (head.state = 'sending' AND coalesce(head.claim_epoch, 0) < $4)
  AND NOT EXISTS (SELECT 1 FROM unnest($1::bigint[], $2::boolean[]) AS b (chat_id, urgent)
                  WHERE b.chat_id = head.chat_id AND b.urgent = head.urgent)
ORDER BY head.due_at > statement_timestamp(), head.urgent DESC, head.due_at
LIMIT $3
