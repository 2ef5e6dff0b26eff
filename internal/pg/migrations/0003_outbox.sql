-- What must be sent to Telegram. Owned by outbox; written by the rooms whose
-- transactions decide that it must.

CREATE TABLE IF NOT EXISTS outbox_messages (
    id          bigint      GENERATED ALWAYS AS IDENTITY CONSTRAINT outbox_messages_pkey PRIMARY KEY,
    key         text        CONSTRAINT outbox_messages_key_once UNIQUE,  -- null: nothing to deduplicate by
    chat_id     bigint      NOT NULL,
    kind        text        NOT NULL,
    args        jsonb       NOT NULL,
    urgent      boolean     NOT NULL DEFAULT false,   -- not behind the chat's other messages
    state       text        NOT NULL DEFAULT 'pending'
        CONSTRAINT outbox_messages_state_known CHECK (state IN ('pending', 'sending', 'sent', 'refused', 'unknown')),
    attempts    integer     NOT NULL DEFAULT 0,
    claim_epoch bigint,
    due_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    created_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    finished_at timestamptz,
    error       text        NOT NULL DEFAULT '',
    CONSTRAINT outbox_messages_claimed CHECK (state <> 'sending' OR claim_epoch IS NOT NULL)
);
CREATE INDEX IF NOT EXISTS outbox_messages_waiting ON outbox_messages (chat_id, urgent, id) WHERE state IN ('pending', 'sending');
