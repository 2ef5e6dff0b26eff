-- What the outside has told us, kept before it is acknowledged. Owned by inbox.

CREATE TABLE IF NOT EXISTS inbox_messages (
    id          bigint      GENERATED ALWAYS AS IDENTITY CONSTRAINT inbox_messages_pkey PRIMARY KEY,
    source      text        NOT NULL,
    key         text        NOT NULL,                 -- the sender's own id; a hash of what has none
    lane        text        NOT NULL,                 -- handled one at a time within a lane
    queue       text        NOT NULL DEFAULT '',      -- the sender's queue, in whose order it arrived
    position    bigint      NOT NULL DEFAULT 0,       -- the sender's number, which orders queues among each other
    body        bytea       NOT NULL,
    state       text        NOT NULL DEFAULT 'pending'
        CONSTRAINT inbox_messages_state_known CHECK (state IN ('pending', 'done', 'failed', 'undecodable')),
    attempts    integer     NOT NULL DEFAULT 0,
    due_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    received_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    done_at     timestamptz,
    error       text        NOT NULL DEFAULT '',
    CONSTRAINT inbox_messages_key_once UNIQUE (source, key)
);
CREATE INDEX IF NOT EXISTS inbox_messages_waiting ON inbox_messages (source, lane, id) WHERE state = 'pending';
CREATE INDEX IF NOT EXISTS inbox_messages_set_aside ON inbox_messages (state) WHERE state IN ('failed', 'undecodable');
