SELECT ledger_close($1, 'release', 0, $2)
