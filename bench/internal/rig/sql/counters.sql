-- What a database has done so far. Rows are those that its tables took, dead
-- ones and index entries not counted.
SELECT pg_current_wal_lsn() - '0/0'::pg_lsn,
       (SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()),
       coalesce((SELECT sum(n_tup_ins + n_tup_upd + n_tup_del) FROM pg_stat_user_tables WHERE schemaname = $1), 0)::bigint,
       coalesce((SELECT sum(pg_total_relation_size(relid)) FROM pg_stat_user_tables WHERE schemaname = $1), 0)::bigint
