-- Meets or remembers a person. True when this is the first time.
INSERT INTO bot_users (id, first_name, username, language) VALUES ($1, $2, $3, $4)
ON CONFLICT (id) DO UPDATE SET first_name = excluded.first_name, username = excluded.username, seen_at = clock_timestamp(),
    language = CASE WHEN bot_users.language_chosen THEN bot_users.language ELSE excluded.language END,
    blocked_at = NULL
RETURNING language, xmax = 0
