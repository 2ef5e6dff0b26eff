-- One commit for everything that arrived together. A repetition is ignored;
-- only fresh rows wake the ACTIVE instance.
WITH fresh AS (
    INSERT INTO inbox_messages (source, key, lane, queue, position, body, state)
    SELECT a.source, a.key, a.lane, a.queue, a.position, a.body,
           CASE WHEN a.undecodable THEN 'undecodable' ELSE 'pending' END
    FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::bigint[], $6::bytea[], $7::boolean[])
         WITH ORDINALITY AS a (source, key, lane, queue, position, body, undecodable, n)
    ORDER BY a.n
    ON CONFLICT (source, key) DO NOTHING
    RETURNING id
)
SELECT count(*), count(pg_notify('inbox_messages', '')) FROM (SELECT count(*) AS n FROM fresh) AS f WHERE f.n > 0
