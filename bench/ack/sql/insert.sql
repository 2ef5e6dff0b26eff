INSERT INTO inbox_messages (source, key, lane, queue, position, body) VALUES ('telegram', $1, $2, $3, $4, $5)
ON CONFLICT (source, key) DO NOTHING
