SELECT coalesce(sum(balance) FILTER (WHERE kind = 'paid'), 0)::bigint,
       coalesce(sum(balance) FILTER (WHERE kind = 'bonus'), 0)::bigint,
       coalesce(sum(balance) FILTER (WHERE kind = 'hold'), 0)::bigint
FROM ledger_accounts WHERE user_id = $1
