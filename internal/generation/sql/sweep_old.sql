-- The row stays, because money refers to it; what the person wrote and sent goes,
-- and the history, in which the provider may have quoted it.
WITH old AS (
    SELECT id FROM generations
    WHERE finished_at < clock_timestamp() - $2::bigint * interval '1 second' AND forgotten_at IS NULL
    ORDER BY finished_at LIMIT $1
), history AS (
    DELETE FROM generation_events USING old WHERE generation_id = old.id
)
UPDATE generations SET params = '{}', forgotten_at = clock_timestamp() FROM old WHERE generations.id = old.id
