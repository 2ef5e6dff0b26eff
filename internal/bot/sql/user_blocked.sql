UPDATE bot_users SET blocked_at = CASE WHEN $2 THEN coalesce(blocked_at, clock_timestamp()) END WHERE id = $1
