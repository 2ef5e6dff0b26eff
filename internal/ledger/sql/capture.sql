SELECT ledger_close($1, 'capture', $2, $3)
