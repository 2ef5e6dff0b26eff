-- Break glass: ends whatever term there is, for good, by the fence. The session
-- of the holder is ended afterwards; it could do no more harm. In lease mode the
-- session may be a pooler's, and somebody else's by now.
WITH fence AS MATERIALIZED (
    SELECT stripe FROM singleton_fence WHERE name = $1 ORDER BY stripe FOR UPDATE
), lease AS (
    UPDATE singleton_lease SET epoch = epoch + 1, term = gen_random_uuid(), state = 'released', heir = '', unsettled = true
    WHERE name = $1 AND (SELECT count(*) FROM fence) >= 0
    RETURNING epoch, term, instance, pid, backend_start,
              CASE WHEN detail_epoch = epoch - 1 THEN mode ELSE 'session' END AS mode
), raised AS (
    UPDATE singleton_fence f SET epoch = lease.epoch, term = lease.term FROM lease WHERE f.name = $1
), recorded AS (
    INSERT INTO singleton_event (name, epoch, kind, instance, detail)
    SELECT $1, epoch, 'takeover', $2, 'forced: ended the term of ' || instance FROM lease
)
SELECT lease.epoch, lease.instance, coalesce(pg_terminate_backend(a.pid), false)
FROM lease LEFT JOIN pg_stat_activity a ON lease.mode = 'session' AND a.pid = lease.pid AND a.backend_start = lease.backend_start
     AND a.datname = current_database() AND a.usename = current_user
