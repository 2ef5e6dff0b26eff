UPDATE inbox_secrets SET registered_at = clock_timestamp() WHERE source = $1 AND current = $2 AND registered_at IS NULL
