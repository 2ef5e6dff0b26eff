-- The tables. Every schema script is safe to run again and runs under the
-- bootstrap lock; none drops a table or a column.

-- One row per lock. LOGGED on purpose: a crash must not forget the epoch.
-- Half-filled pages keep the heartbeats as heap-only updates in one page.
CREATE TABLE IF NOT EXISTS singleton_lease (
    name          text        CONSTRAINT singleton_lease_pkey PRIMARY KEY,
    epoch         bigint      NOT NULL DEFAULT 0,
    term          uuid,
    instance      text        NOT NULL DEFAULT '',
    work_app      text        NOT NULL DEFAULT '',
    pid           integer,
    backend_start timestamptz,
    beat          bigint      NOT NULL DEFAULT 0,
    beat_at       timestamptz,
    acquired_at   timestamptz,
    state         text        NOT NULL DEFAULT 'released'
        CONSTRAINT singleton_lease_state_known CHECK (state IN ('held', 'released'))
) WITH (fillfactor = 50);

-- The fence. Work locks one stripe FOR KEY SHARE, a new term locks all of them
-- FOR UPDATE. Stripes keep many workers from sharing one row's multixact.
CREATE TABLE IF NOT EXISTS singleton_fence (
    name   text    NOT NULL,
    stripe integer NOT NULL,
    epoch  bigint  NOT NULL DEFAULT 0,
    term   uuid,
    CONSTRAINT singleton_fence_pkey PRIMARY KEY (name, stripe)
);

CREATE TABLE IF NOT EXISTS singleton_event (
    id       bigint      GENERATED ALWAYS AS IDENTITY CONSTRAINT singleton_event_pkey PRIMARY KEY,
    at       timestamptz NOT NULL DEFAULT clock_timestamp(),
    name     text        NOT NULL,
    epoch    bigint      NOT NULL,
    kind     text        NOT NULL
        CONSTRAINT singleton_event_kind_known CHECK (kind IN ('acquired', 'released', 'lost', 'takeover')),
    instance text        NOT NULL,
    detail   text        NOT NULL DEFAULT ''
);
CREATE INDEX IF NOT EXISTS singleton_event_by_name ON singleton_event (name, id DESC);
