SELECT sum(calls)::bigint FROM pg_stat_statements
