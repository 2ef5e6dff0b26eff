-- The same key again changes nothing, unless the message may still be replaced:
-- then the newest content goes out, at the newest time, but not before the end of
-- a pause that Telegram asked for.
INSERT INTO outbox_messages (key, chat_id, kind, args, urgent, due_at, trace_id)
VALUES (nullif($1, ''), $2, $3, $4, $5, clock_timestamp() + $6::bigint * interval '1 millisecond',
        nullif($8::uuid, '00000000-0000-0000-0000-000000000000'))
ON CONFLICT (key) DO UPDATE SET args = excluded.args, trace_id = excluded.trace_id, due_at = greatest(outbox_messages.due_at, excluded.due_at)
WHERE $7 AND outbox_messages.state = 'pending'
