-- The lock's own session: no limit may end it, and a peer that died without a
-- word is reaped after about 1.2 times the stale threshold.
SELECT set_config('application_name', $1, false),
       set_config('statement_timeout', '0', false),
       set_config('lock_timeout', '0', false),
       set_config('idle_in_transaction_session_timeout', '0', false),
       set_config('tcp_keepalives_idle', $2, false),
       set_config('tcp_keepalives_interval', '2', false),
       set_config('tcp_keepalives_count', '2', false),
       set_config('tcp_user_timeout', $3, false)
