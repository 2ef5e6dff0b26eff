-- Says that this instance believes to be ACTIVE, and reads who else does, and how
-- long ago anybody last did. Rows of the past go, but never the newest.
WITH before AS (
    SELECT count(*) FILTER (WHERE instance <> $1 AND seen_at > clock_timestamp() - $3::bigint * interval '1 millisecond') AS others,
           max(seen_at) AS newest
    FROM admin_presence
), mine AS (
    INSERT INTO admin_presence (instance, epoch, seen_at) VALUES ($1, $2, clock_timestamp())
    ON CONFLICT (instance) DO UPDATE SET epoch = excluded.epoch, seen_at = excluded.seen_at
), gone AS (
    DELETE FROM admin_presence p USING before
    WHERE p.instance <> $1 AND p.seen_at < before.newest AND p.seen_at < clock_timestamp() - interval '1 day'
)
SELECT others, coalesce(extract(epoch FROM clock_timestamp() - newest), 0)::float8 FROM before
