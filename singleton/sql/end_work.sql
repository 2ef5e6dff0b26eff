-- The former holder's work sessions: by their exact name, or by the tag of their
-- open transaction, and of our own role. One of them delays the new term.
SELECT count(pg_terminate_backend(a.pid)) FROM pg_stat_activity a
WHERE a.usename = current_user AND a.datname = current_database() AND a.pid <> pg_backend_pid()
  AND (a.application_name = $1 AND $1 <> ''
       OR EXISTS (SELECT 1 FROM pg_locks k JOIN pg_database d ON d.oid = k.database AND d.datname = current_database()
                  WHERE k.pid = a.pid AND k.locktype = 'advisory' AND k.granted AND k.objsubid = 1
                    AND ((k.classid::bigint << 32) | k.objid::bigint) = $2::bigint))
