-- Sessions that wait in the lock's queue; those of lease mode only look.
SELECT DISTINCT substr(a.application_name, length('singleton/lock/') + 1) AS instance
FROM pg_locks k
JOIN pg_database d ON d.oid = k.database AND d.datname = current_database()
JOIN pg_stat_activity a ON a.pid = k.pid AND a.application_name LIKE 'singleton/lock/%'
WHERE k.locktype = 'advisory' AND NOT k.granted AND k.objsubid = 1
  AND ((k.classid::bigint << 32) | k.objid::bigint) = $1::bigint
ORDER BY instance
