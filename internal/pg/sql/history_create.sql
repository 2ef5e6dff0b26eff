CREATE TABLE IF NOT EXISTS migration_history (
    number      integer     CONSTRAINT migration_history_pkey PRIMARY KEY,
    file        text        NOT NULL,
    sha256      text        NOT NULL,
    applied_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    duration_ms bigint      NOT NULL,
    version     text        NOT NULL
)
