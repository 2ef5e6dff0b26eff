-- The people in the chat and where they are in it. Owned by bot.

CREATE TABLE IF NOT EXISTS bot_users (
    id         bigint      CONSTRAINT bot_users_pkey PRIMARY KEY,   -- Telegram's id
    first_name text        NOT NULL,
    username   text        NOT NULL DEFAULT '',
    language   text        NOT NULL CONSTRAINT bot_users_language_known CHECK (language IN ('en', 'ru')),
    language_chosen boolean NOT NULL DEFAULT false,
    blocked_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    seen_at    timestamptz NOT NULL DEFAULT clock_timestamp()
);

CREATE TABLE IF NOT EXISTS bot_sessions (
    user_id    bigint      CONSTRAINT bot_sessions_pkey PRIMARY KEY
        CONSTRAINT bot_sessions_of REFERENCES bot_users,
    state      jsonb       NOT NULL DEFAULT '{}',
    updated_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
