SELECT count(*), coalesce(extract(epoch FROM clock_timestamp() - min(opened_at)), 0)::float8,
       count(*) FILTER (WHERE expires_at < clock_timestamp())
FROM ledger_holds WHERE state = 'open'
