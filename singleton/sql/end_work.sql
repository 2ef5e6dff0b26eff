-- The former holder's work sessions, by their exact name and our own role: one
-- of them still has a transaction open and delays the new term.
SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
WHERE application_name = $1 AND $1 <> '' AND usename = current_user AND datname = current_database()
  AND pid <> pg_backend_pid()
