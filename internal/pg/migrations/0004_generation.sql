-- One row per order of a generation. Owned by generation.

CREATE TABLE IF NOT EXISTS generations (
    id           uuid        CONSTRAINT generations_pkey PRIMARY KEY,
    request_key  text        NOT NULL CONSTRAINT generations_request_once UNIQUE,  -- one order per press
    user_id      bigint      NOT NULL,
    chat_id      bigint      NOT NULL,
    message_id   bigint      NOT NULL DEFAULT 0,   -- the chat message that shows the progress; 0: none
    language     text        NOT NULL,
    model        text        NOT NULL,
    params       jsonb       NOT NULL,            -- completed values of the model's inputs, as text
    price        bigint      NOT NULL CONSTRAINT generations_price_floor CHECK (price >= 0),
    cost_micros  bigint      NOT NULL,             -- expected cost in millionths of a US dollar
    free         boolean     NOT NULL DEFAULT false,
    state        text        NOT NULL
        CONSTRAINT generations_state_known CHECK (state IN ('held', 'submitting', 'running', 'unknown', 'succeeded', 'failed')),
    cause        text        NOT NULL DEFAULT '',
    task_id      text        CONSTRAINT generations_task_once UNIQUE,
    task_hint    text        NOT NULL DEFAULT '',  -- named by a callback, not yet confirmed by the provider
    claim_epoch  bigint,
    attempts     integer     NOT NULL DEFAULT 0,
    stage        text        NOT NULL DEFAULT '',  -- what the person was last told
    due_at       timestamptz NOT NULL DEFAULT clock_timestamp(),
    created_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    submitted_at timestamptz,
    finished_at  timestamptz,
    CONSTRAINT generations_running_has_task CHECK (state <> 'running' OR task_id IS NOT NULL),
    CONSTRAINT generations_finish CHECK ((state IN ('succeeded', 'failed')) = (finished_at IS NOT NULL))
);
CREATE INDEX IF NOT EXISTS generations_due ON generations (due_at) WHERE state IN ('held', 'submitting', 'running', 'unknown');
CREATE INDEX IF NOT EXISTS generations_by_user ON generations (user_id, created_at DESC);

CREATE TABLE IF NOT EXISTS generation_events (
    id            bigint      GENERATED ALWAYS AS IDENTITY CONSTRAINT generation_events_pkey PRIMARY KEY,
    generation_id uuid        NOT NULL CONSTRAINT generation_events_of REFERENCES generations,
    at            timestamptz NOT NULL DEFAULT clock_timestamp(),
    event         text        NOT NULL,
    from_state    text        NOT NULL,
    to_state      text        NOT NULL,
    epoch         bigint      NOT NULL,
    detail        text        NOT NULL DEFAULT ''
);
CREATE INDEX IF NOT EXISTS generation_events_by_generation ON generation_events (generation_id, id);

CREATE TABLE IF NOT EXISTS generation_results (
    generation_id uuid    NOT NULL CONSTRAINT generation_results_of REFERENCES generations,
    position      integer NOT NULL,
    kind          text    NOT NULL CONSTRAINT generation_results_kind_known CHECK (kind IN ('image', 'video', 'audio', 'file')),
    url           text    NOT NULL,
    file_id       text    NOT NULL DEFAULT '',
    CONSTRAINT generation_results_pkey PRIMARY KEY (generation_id, position)
);
