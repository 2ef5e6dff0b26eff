-- One commit for everything that arrived together. A repetition is ignored; the
-- ACTIVE instance is woken when there are at least $8 fresh rows. unnest in a
-- select list runs all arrays in step and keeps their order, without storing them
-- first as in FROM.
WITH fresh AS (
    INSERT INTO inbox_messages (source, key, lane, queue, position, body, state, trace_id)
    SELECT a.source, a.key, a.lane, a.queue, a.position, a.body,
           CASE WHEN a.undecodable THEN 'undecodable' ELSE 'pending' END, a.trace_id
    FROM (SELECT unnest($1::text[]) AS source, unnest($2::text[]) AS key, unnest($3::text[]) AS lane,
                 unnest($4::text[]) AS queue, unnest($5::bigint[]) AS position, unnest($6::bytea[]) AS body,
                 unnest($7::boolean[]) AS undecodable, unnest($9::uuid[]) AS trace_id) AS a
    ON CONFLICT (source, key) DO NOTHING
    RETURNING id
)
SELECT count(*), count(pg_notify('inbox_messages', '')) FROM (SELECT count(*) AS n FROM fresh) AS f WHERE f.n >= $8::bigint
