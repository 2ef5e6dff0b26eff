-- How long others must leave a holder alone, as it counts itself: instances of
-- one lock may be configured differently while a deploy is under way. The first
-- heartbeat of a term says it.
ALTER TABLE singleton_lease ADD COLUMN IF NOT EXISTS stale_ms bigint NOT NULL DEFAULT 0;

-- Does for a lock of this session's own what a grant and a piece of work do, and
-- takes it all back. What stays is what a session learns by doing: plans, and
-- what the catalogs say of the tables. Without it a new holder's first statements
-- cost milliseconds each, at the moment at which everybody waits for them.
CREATE OR REPLACE FUNCTION singleton_rehearse() RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    own     CONSTANT text   := 'rehearsal/' || pg_backend_pid();
    own_key CONSTANT bigint := hashtextextended(own, 0);
    g       record;
BEGIN
    BEGIN
        INSERT INTO singleton_lease (name) VALUES (own);
        INSERT INTO singleton_fence (name, stripe) VALUES (own, pg_backend_pid() % 64);
        SELECT * INTO g FROM singleton_grant(own, own_key, 'session', own, '', '', 0, 1000, '', 0, 0);
        PERFORM singleton_check(own, g.new_epoch, g.new_term, g.server, 0);
        RAISE EXCEPTION 'the rehearsal is over' USING ERRCODE = 'SG002';
    EXCEPTION WHEN SQLSTATE 'SG002' THEN -- all of it is undone
    END;
    PERFORM pg_advisory_unlock(own_key); -- but for this
END
$$;
