SELECT key FROM ledger_holds WHERE state = 'open' AND key = ANY ($1::text[]) ORDER BY expires_at
