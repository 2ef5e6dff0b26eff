-- What a holder tells about itself beyond its heartbeat. Binaries of before this
-- script leave these columns alone, so they count only while detail_epoch is the
-- row's epoch.
ALTER TABLE singleton_lease
    ADD COLUMN IF NOT EXISTS detail_epoch bigint  NOT NULL DEFAULT 0,
    ADD COLUMN IF NOT EXISTS mode         text    NOT NULL DEFAULT 'session',
    ADD COLUMN IF NOT EXISTS version      text    NOT NULL DEFAULT '',
    ADD COLUMN IF NOT EXISTS rank         bigint  NOT NULL DEFAULT 0,
    ADD COLUMN IF NOT EXISTS progress     bigint  NOT NULL DEFAULT 0,
    ADD COLUMN IF NOT EXISTS waiting      boolean NOT NULL DEFAULT false,
    -- A wish that the term asked_epoch ends, and who should follow.
    ADD COLUMN IF NOT EXISTS asked_epoch  bigint  NOT NULL DEFAULT 0,
    ADD COLUMN IF NOT EXISTS asked_by     text    NOT NULL DEFAULT '',
    ADD COLUMN IF NOT EXISTS asked_heir   text    NOT NULL DEFAULT '',
    ADD COLUMN IF NOT EXISTS heir         text    NOT NULL DEFAULT '',
    ADD COLUMN IF NOT EXISTS heir_until   timestamptz,
    -- The last term whose session a watcher ended: many may try at once, and it counts once.
    ADD COLUMN IF NOT EXISTS ended_epoch  bigint  NOT NULL DEFAULT 0,
    -- It is released, and a term before the released one may still act outside.
    ADD COLUMN IF NOT EXISTS unsettled    boolean NOT NULL DEFAULT false;

ALTER TABLE singleton_event DROP CONSTRAINT IF EXISTS singleton_event_kind_known;
ALTER TABLE singleton_event ADD CONSTRAINT singleton_event_kind_known
    CHECK (kind IN ('acquired', 'released', 'lost', 'takeover', 'asked', 'alarm'));

-- The lock domain: all who compete must see the same row. Two databases, or a
-- copy of one, are two domains.
CREATE TABLE IF NOT EXISTS singleton_domain (
    single  boolean     NOT NULL DEFAULT true CONSTRAINT singleton_domain_one CHECK (single),
    id      uuid        NOT NULL DEFAULT gen_random_uuid(),
    made_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT singleton_domain_pkey PRIMARY KEY (single)
);
INSERT INTO singleton_domain DEFAULT VALUES ON CONFLICT DO NOTHING;

-- The incarnation of the server: another after a restart, and on a replica that
-- was promoted. A term works only on the one that it began on.
CREATE OR REPLACE FUNCTION singleton_server() RETURNS bigint LANGUAGE sql STABLE AS $$
    SELECT (extract(epoch FROM pg_postmaster_start_time()) * 1000000)::bigint
$$;

-- The fence: locks this session's stripe against a new term until the
-- transaction ends, and raises SG001 when the term is over. FOR KEY SHARE
-- conflicts with the FOR UPDATE of a new term, not with other work. A tag that
-- is not 0 marks the session as one with a transaction of this lock open, for
-- work whose sessions cannot be told by their name.
CREATE OR REPLACE FUNCTION singleton_check(
    lock_name text, held_epoch bigint, held_term uuid, held_server bigint, tag bigint)
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF tag <> 0 THEN
        PERFORM pg_advisory_xact_lock_shared(tag);
    END IF;
    PERFORM 1 FROM singleton_fence f
     WHERE f.name = lock_name AND f.stripe = pg_backend_pid() % 64
       AND f.epoch = held_epoch AND f.term = held_term
       FOR KEY SHARE;
    IF NOT FOUND OR held_server <> singleton_server() THEN
        RAISE EXCEPTION 'term % of lock "%" is over', held_epoch, lock_name USING ERRCODE = 'SG001';
    END IF;
END
$$;

-- Grants the lock and registers the holder in one call, so that nobody can hold
-- it unregistered. In session mode it waits for at most slice_ms; the wait ends
-- by a swallowed lock_timeout, because a waiting statement holds a snapshot and
-- the slice bounds how long. A caller that has found the holder stale passes
-- what it saw: that and nothing later is taken over.
--
-- Outcomes: acquired; busy, held, yield, damped (try again later); fence_busy
-- (the former holder still has a transaction open; nothing was changed); pooled
-- (this very session is registered for another holder: a pooler is in between).
CREATE OR REPLACE FUNCTION singleton_grant(
    lock_name text, lock_key bigint, new_mode text, new_instance text, new_work_app text,
    new_version text, new_rank bigint, slice_ms integer,
    stale_reason text, stale_epoch bigint, stale_mark bigint,
    OUT outcome text, OUT new_epoch bigint, OUT new_term uuid, OUT server bigint,
    OUT former_instance text, OUT former_work_app text, OUT former_state text, OUT former_beat bigint)
LANGUAGE plpgsql AS $$
DECLARE
    l          singleton_lease;
    l_mode     text;
    own_start  timestamptz;
    stolen     boolean;  -- from a holder that may still believe in itself
BEGIN
    IF new_mode = 'session' THEN
        PERFORM set_config('lock_timeout', slice_ms || 'ms', true);
        BEGIN
            PERFORM pg_advisory_lock(lock_key);
        EXCEPTION WHEN lock_not_available THEN
            -- The lock may have been granted at the moment at which the wait ended,
            -- and a session's lock survives the error: then it is ours after all.
            IF NOT EXISTS (SELECT 1 FROM pg_locks k JOIN pg_database d ON d.oid = k.database AND d.datname = current_database()
                    WHERE k.pid = pg_backend_pid() AND k.locktype = 'advisory' AND k.granted AND k.objsubid = 1
                      AND ((k.classid::bigint << 32) | k.objid::bigint) = lock_key) THEN
                outcome := 'busy';
                RETURN;
            END IF;
        END;
    END IF;

    SELECT a.backend_start INTO own_start FROM pg_stat_activity a WHERE a.pid = pg_backend_pid();
    PERFORM set_config('lock_timeout', '500ms', true);
    BEGIN
        SELECT * INTO l FROM singleton_lease WHERE name = lock_name FOR UPDATE;
        l_mode := CASE WHEN l.detail_epoch = l.epoch THEN l.mode ELSE 'session' END;
        stolen := l.state = 'held' AND (new_mode = 'lease' OR l_mode = 'lease');
        IF l.state = 'held' AND new_mode = 'session' AND l_mode = 'session'
           AND l.pid = pg_backend_pid() AND l.backend_start = own_start THEN
            outcome := 'pooled';
        ELSIF stolen AND NOT (l.epoch = stale_epoch AND CASE stale_reason
                WHEN 'heartbeat' THEN l.beat = stale_mark
                WHEN 'idle' THEN l.progress = stale_mark AND l.waiting
                ELSE false END) THEN
            outcome := 'held';
        ELSIF stolen AND (SELECT count(*) >= 3 FROM singleton_event e WHERE e.name = lock_name
                AND e.kind = 'takeover' AND e.at > clock_timestamp() - interval '10 minutes') THEN
            outcome := 'damped';
        ELSIF l.state = 'released' AND l.heir NOT IN ('', new_instance) AND clock_timestamp() < l.heir_until THEN
            outcome := 'yield';
        ELSE
            PERFORM 1 FROM singleton_fence f WHERE f.name = lock_name ORDER BY f.stripe FOR UPDATE;
        END IF;
    EXCEPTION WHEN lock_not_available THEN
        SELECT * INTO l FROM singleton_lease WHERE name = lock_name;
        outcome := 'fence_busy';
    END;
    former_instance := l.instance;
    former_work_app := l.work_app;
    former_state := CASE WHEN l.state = 'released' AND l.unsettled THEN 'unsettled' ELSE l.state END;
    former_beat := l.beat;
    IF outcome IS NOT NULL THEN
        IF new_mode = 'session' THEN
            PERFORM pg_advisory_unlock(lock_key);
        END IF;
        RETURN;
    END IF;

    new_epoch := l.epoch + 1;
    new_term := gen_random_uuid();
    server := singleton_server();
    UPDATE singleton_fence SET epoch = new_epoch, term = new_term WHERE name = lock_name;
    UPDATE singleton_lease SET epoch = new_epoch, term = new_term, instance = new_instance, work_app = new_work_app,
           pid = pg_backend_pid(), backend_start = own_start,
           beat = 0, beat_at = clock_timestamp(), acquired_at = clock_timestamp(), state = 'held',
           detail_epoch = new_epoch, mode = new_mode, version = new_version, rank = new_rank,
           progress = 0, waiting = false, heir = '', unsettled = false
     WHERE name = lock_name;
    IF stolen THEN
        INSERT INTO singleton_event (name, epoch, kind, instance, detail)
        VALUES (lock_name, l.epoch, 'takeover', new_instance, stale_reason || ': replaced ' || l.instance);
    END IF;
    INSERT INTO singleton_event (name, epoch, kind, instance, detail)
    VALUES (lock_name, new_epoch, 'acquired', new_instance,
            CASE WHEN l.state = 'released' THEN 'after a release' ELSE 'after ' || l.instance || ' ended without a release' END);
    outcome := 'acquired';
END
$$;
