UPDATE inbox_secrets SET previous = NULL, registered_at = coalesce(registered_at, clock_timestamp())
WHERE source = $1 AND current = $2 AND previous IS NOT NULL
