SELECT substr(a.application_name, length('singleton/lock/') + 1)
FROM pg_locks k JOIN pg_stat_activity a ON a.pid = k.pid
WHERE k.locktype = 'advisory' AND NOT k.granted AND a.application_name LIKE 'singleton/lock/%'
  AND k.database = (SELECT oid FROM pg_database WHERE datname = current_database())
ORDER BY k.waitstart LIMIT 1
