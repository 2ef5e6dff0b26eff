-- The lock's own session: no limit may end it, a peer that died without a word
-- is reaped after about 1.2 times the stale threshold, and a waiting server
-- process looks for its client. Settings that a server lacks, or keeps to
-- itself, are left out.
SELECT set_config(s.name, v.value, false)
FROM (VALUES
    ('application_name', $1::text),
    ('statement_timeout', '0'),
    ('lock_timeout', '0'),
    ('idle_in_transaction_session_timeout', '0'),
    ('idle_session_timeout', '0'),
    ('transaction_timeout', '0'),
    ('tcp_keepalives_idle', $2),
    ('tcp_keepalives_interval', '2'),
    ('tcp_keepalives_count', '2'),
    ('tcp_user_timeout', $3),
    ('client_connection_check_interval', '1000')
) AS v (name, value)
JOIN pg_settings s ON s.name = v.name
WHERE s.context = 'user'
