SELECT count(*) FILTER (WHERE detail LIKE 'heartbeat%'), count(*) FILTER (WHERE detail LIKE 'idle%'), max(at)
FROM singleton_event WHERE name = $1 AND kind = 'takeover'
