-- Who holds the lock without being its registered holder.
SELECT k.pid FROM pg_locks k
JOIN pg_database d ON d.oid = k.database AND d.datname = current_database()
WHERE k.locktype = 'advisory' AND k.granted AND k.objsubid = 1
  AND ((k.classid::bigint << 32) | k.objid::bigint) = $2::bigint
  AND NOT EXISTS (SELECT 1 FROM singleton_lease l JOIN pg_stat_activity a ON a.pid = l.pid AND a.backend_start = l.backend_start
                  WHERE l.name = $1 AND l.pid = k.pid AND l.state = 'held')
LIMIT 1
