-- The previous secret only while it is accepted, and for how many seconds more; a
-- negative number: until the current one is registered.
SELECT current,
       CASE WHEN registered_at IS NULL OR registered_at > clock_timestamp() - $2::bigint * interval '1 second' THEN previous END,
       coalesce(extract(epoch FROM registered_at - clock_timestamp()) + $2, -1)::float8
FROM inbox_secrets WHERE source = $1
