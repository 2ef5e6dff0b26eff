-- Bounds what a forgotten or frozen session can hold up. Set by statement after
-- connecting, because transaction poolers refuse these as start-up parameters.
SELECT set_config('application_name', $1, false),
       set_config('statement_timeout', '5s', false),
       set_config('lock_timeout', '2s', false),
       set_config('idle_in_transaction_session_timeout', '5s', false)
