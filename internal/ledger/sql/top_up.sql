SELECT ledger_top_up($1, $2, $3, $4, $5, $6, $7)
