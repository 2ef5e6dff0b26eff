-- Sessions that wait for the lock or watch it; through a pooler they are not seen.
SELECT DISTINCT substr(application_name, length('singleton/watch/') + 1) AS instance FROM pg_stat_activity
WHERE datname = current_database() AND application_name LIKE 'singleton/watch/%'
ORDER BY instance
