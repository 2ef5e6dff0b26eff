-- What running the program for long needs: one id from an update to what came of
-- it, an end for deliveries that nobody asked for again, what retention reads by,
-- and the change of a webhook's secret.

-- An order's generation takes the id of its update, so its own id is the trace's.
-- Rows of older binaries get an id of their own; those from before have none.
ALTER TABLE inbox_messages ADD COLUMN IF NOT EXISTS trace_id uuid;
ALTER TABLE inbox_messages ALTER COLUMN trace_id SET DEFAULT gen_random_uuid();
ALTER TABLE outbox_messages ADD COLUMN IF NOT EXISTS trace_id uuid;

-- expired: was unknown, and the button that offered it again has outlived its file.
ALTER TABLE outbox_messages DROP CONSTRAINT IF EXISTS outbox_messages_state_known;
ALTER TABLE outbox_messages ADD CONSTRAINT outbox_messages_state_known
    CHECK (state IN ('pending', 'sending', 'sent', 'refused', 'unknown', 'expired')) NOT VALID;
CREATE INDEX IF NOT EXISTS outbox_messages_in_doubt ON outbox_messages (finished_at) WHERE state = 'unknown';

-- When an order's inputs and history were given up. The index shrinks with every sweep.
ALTER TABLE generations ADD COLUMN IF NOT EXISTS forgotten_at timestamptz;
CREATE INDEX IF NOT EXISTS generations_to_forget ON generations (finished_at)
    WHERE finished_at IS NOT NULL AND forgotten_at IS NULL;

-- The secret with which a sender proves itself, as hashes. Owned by inbox.
CREATE TABLE IF NOT EXISTS inbox_secrets (
    source        text        CONSTRAINT inbox_secrets_pkey PRIMARY KEY,
    current       bytea       NOT NULL CONSTRAINT inbox_secrets_current_is_sha256 CHECK (octet_length(current) = 32),
    previous      bytea       CONSTRAINT inbox_secrets_previous_is_sha256 CHECK (octet_length(previous) = 32),
    registered_at timestamptz                        -- when the sender took the current one; null: not yet
);
