-- What the operators were told, and who believed to be ACTIVE. Owned by admin.

-- One row per alert that ever fired. A new ACTIVE instance reads it, so that it
-- neither repeats what its predecessor said nor forgets to say that it is over.
CREATE TABLE IF NOT EXISTS admin_alerts (
    id       text             CONSTRAINT admin_alerts_pkey PRIMARY KEY,
    firing   boolean          NOT NULL,
    value    double precision NOT NULL,
    since    timestamptz      NOT NULL DEFAULT clock_timestamp(),   -- of the firing, or of its end
    told     boolean          NOT NULL,                             -- this firing was said
    told_at  timestamptz                                            -- when a firing was last said
);

-- Written outside the fence on purpose: two fresh rows are two instances that
-- both believe to be ACTIVE.
CREATE TABLE IF NOT EXISTS admin_presence (
    instance text        CONSTRAINT admin_presence_pkey PRIMARY KEY,
    epoch    bigint      NOT NULL,
    seen_at  timestamptz NOT NULL
);

-- For counting deliveries in doubt without reading those that went well.
CREATE INDEX IF NOT EXISTS outbox_messages_in_doubt ON outbox_messages (finished_at) WHERE state = 'unknown';
