SELECT o.at, o.kind, o.key, o.reason, a.kind, CASE WHEN t.credit_id = a.id THEN t.amount ELSE -t.amount END,
       CASE WHEN t.credit_id = a.id THEN t.credit_after ELSE t.debit_after END
FROM ledger_accounts a
JOIN ledger_transfers t ON a.id IN (t.debit_id, t.credit_id)
JOIN ledger_operations o ON o.id = t.operation_id
WHERE a.user_id = $1
ORDER BY t.id DESC, a.id
LIMIT $2
