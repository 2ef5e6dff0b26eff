UPDATE bot_sessions SET state = $2, updated_at = clock_timestamp() WHERE user_id = $1
