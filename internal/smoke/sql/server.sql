SELECT current_setting('server_version_num')::integer, current_setting('server_version'),
       pg_is_in_recovery() OR current_setting('transaction_read_only')::boolean,
       current_database(), current_user::text, pg_backend_pid()
