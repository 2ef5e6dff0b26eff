INSERT INTO outbox_messages (key, chat_id, kind, args, urgent)
VALUES (nullif($1, ''), $2, $3, $4, $5)
ON CONFLICT (key) DO NOTHING
