-- A holder that gives up because its own work hangs was replaced for idleness,
-- whoever noticed first.
SELECT count(*) FILTER (WHERE kind = 'takeover' AND detail LIKE 'heartbeat%'),
       count(*) FILTER (WHERE detail LIKE 'idle%'),
       count(*) FILTER (WHERE kind = 'takeover' AND detail LIKE 'forced%'),
       max(at)
FROM singleton_event WHERE name = $1 AND (kind = 'takeover' OR kind = 'lost' AND detail LIKE 'idle%')
