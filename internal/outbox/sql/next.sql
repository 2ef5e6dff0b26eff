SELECT m.id, coalesce(m.key, ''), m.kind, m.args, m.state, m.attempts, coalesce(m.claim_epoch, 0),
       coalesce(m.trace_id, '00000000-0000-0000-0000-000000000000'), extract(epoch FROM clock_timestamp() - m.created_at)::float8,
       EXISTS (SELECT 1 FROM outbox_messages later
               WHERE later.chat_id = m.chat_id AND later.urgent = m.urgent AND later.id > m.id
                 AND later.state IN ('pending', 'sending'))
FROM outbox_messages m
WHERE m.chat_id = $1 AND m.urgent = $2 AND m.state IN ('pending', 'sending') AND m.due_at <= clock_timestamp()
  AND m.id = (SELECT min(id) FROM outbox_messages WHERE chat_id = $1 AND urgent = $2 AND state IN ('pending', 'sending'))
FOR UPDATE
