SELECT key FROM ledger_holds WHERE state = 'open' AND expires_at < clock_timestamp() ORDER BY expires_at LIMIT $1
