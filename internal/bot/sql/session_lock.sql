INSERT INTO bot_sessions (user_id) VALUES ($1)
ON CONFLICT (user_id) DO UPDATE SET updated_at = clock_timestamp()
RETURNING state
