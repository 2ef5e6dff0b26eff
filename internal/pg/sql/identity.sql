-- Tells databases apart, whatever addresses and roles lead to them.
SELECT extract(epoch FROM pg_postmaster_start_time())::text || '/' || oid::text
FROM pg_database WHERE datname = current_database()
