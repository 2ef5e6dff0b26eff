SELECT pg_terminate_backend(a.pid) FROM singleton_lease l JOIN pg_stat_activity a ON a.pid = l.pid AND a.backend_start = l.backend_start
WHERE l.name = $1 AND l.state = 'held'
