SELECT outcome, missing FROM ledger_hold($1, $2, $3, $4, clock_timestamp() + $5::bigint * interval '1 second')
