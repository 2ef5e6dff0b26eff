-- Everything the package needs. Safe to run again and by many at once: the
-- caller holds the bootstrap lock. Tables are never dropped here.

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

-- Waits for the lock for at most slice_ms, then grants and registers the holder
-- in the same call, so that nobody can hold the lock unregistered. The wait ends
-- by a swallowed lock_timeout: a waiting statement holds a snapshot, and the
-- slice bounds how long. Outcomes: acquired; busy (try again); fence_busy (the
-- former holder still has a transaction open; nothing was changed).
CREATE OR REPLACE FUNCTION singleton_acquire(
    lock_name text, lock_key bigint, new_instance text, new_work_app text, slice_ms integer,
    OUT outcome text, OUT new_epoch bigint, OUT new_term uuid,
    OUT former_instance text, OUT former_work_app text, OUT former_state text)
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM set_config('lock_timeout', slice_ms || 'ms', true);
    BEGIN
        PERFORM pg_advisory_lock(lock_key);
    EXCEPTION WHEN lock_not_available THEN
        outcome := 'busy';
        RETURN;
    END;

    PERFORM set_config('lock_timeout', '500ms', true);
    BEGIN
        SELECT l.epoch + 1, l.instance, l.work_app, l.state
          INTO new_epoch, former_instance, former_work_app, former_state
          FROM singleton_lease l WHERE l.name = lock_name FOR UPDATE;
        PERFORM 1 FROM singleton_fence f WHERE f.name = lock_name ORDER BY f.stripe FOR UPDATE;
    EXCEPTION WHEN lock_not_available THEN
        PERFORM pg_advisory_unlock(lock_key);
        SELECT l.instance, l.work_app INTO former_instance, former_work_app
          FROM singleton_lease l WHERE l.name = lock_name;
        outcome := 'fence_busy';
        RETURN;
    END;

    new_term := gen_random_uuid();
    UPDATE singleton_fence SET epoch = new_epoch, term = new_term WHERE name = lock_name;
    UPDATE singleton_lease SET epoch = new_epoch, term = new_term, instance = new_instance,
           work_app = new_work_app, pid = pg_backend_pid(),
           backend_start = (SELECT a.backend_start FROM pg_stat_activity a WHERE a.pid = pg_backend_pid()),
           beat = 0, beat_at = clock_timestamp(), acquired_at = clock_timestamp(), state = 'held'
     WHERE name = lock_name;
    INSERT INTO singleton_event (name, epoch, kind, instance, detail)
    VALUES (lock_name, new_epoch, 'acquired', new_instance,
            CASE WHEN former_state = 'released' THEN 'after a release' ELSE 'after ' || former_instance || ' ended without a release' END);
    outcome := 'acquired';
END
$$;
