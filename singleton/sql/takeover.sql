-- Ends exactly the session that is registered as the holder, and only if it is
-- still the one the watcher timed: same epoch and same beat (or, for an idle
-- one, same progress with work waiting), same process by pid and start time,
-- same database and role, and it holds this very lock. A budget of three in ten
-- minutes damps flapping. Of watchers that try at once, one does it: the row is
-- looked at again after a wait for another. A session that did not end can be
-- tried again, and is counted once.
WITH target AS (
    SELECT l.pid, l.instance, l.beat, l.ended_epoch = l.epoch AS again
    FROM singleton_lease l
    JOIN pg_stat_activity a ON a.pid = l.pid AND a.backend_start = l.backend_start
         AND a.datname = current_database() AND a.usename = current_user
    JOIN pg_database d ON d.datname = current_database()
    JOIN pg_locks k ON k.pid = l.pid AND k.locktype = 'advisory' AND k.granted
         AND k.database = d.oid AND k.objsubid = 1
         AND ((k.classid::bigint << 32) | k.objid::bigint) = $2::bigint
    WHERE l.name = $1 AND l.epoch = $3 AND l.state = 'held'
      AND CASE $6 WHEN 'heartbeat' THEN l.beat = $4
                  WHEN 'idle' THEN l.progress = $4 AND l.waiting AND l.detail_epoch = l.epoch
                  ELSE false END
      AND (l.ended_epoch = l.epoch OR (SELECT count(*) FROM singleton_event e
           WHERE e.name = $1 AND e.kind = 'takeover' AND e.at > clock_timestamp() - interval '10 minutes') < 3)
), first AS (
    UPDATE singleton_lease l SET ended_epoch = l.epoch FROM target
    WHERE l.name = $1 AND l.epoch = $3 AND l.beat = target.beat AND l.ended_epoch <> l.epoch
    RETURNING target.instance
), recorded AS (
    INSERT INTO singleton_event (name, epoch, kind, instance, detail)
    SELECT $1, $3, 'takeover', $5, $6 || ': ended the session of ' || instance || ' after ' || $7 FROM first
    RETURNING id
)
SELECT pg_terminate_backend(pid) FROM target WHERE again OR EXISTS (SELECT FROM recorded)
