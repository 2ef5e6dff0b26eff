-- Releases the row and, in session mode, the lock ($6) in one statement: a holder
-- that is frozen in between would hold a lock that nobody may take from it. The
-- row comes first, so whoever is granted the lock waits for this commit.
-- The heir, if one is named, may be first for a second. It is a wish: nothing
-- rests on it, and a heir that is gone costs that second.
WITH released AS (
    UPDATE singleton_lease SET state = 'released', unsettled = $8, heir = $5, heir_until = clock_timestamp() + interval '1 second'
    WHERE name = $1 AND epoch = $2 AND term = $3::uuid
    RETURNING instance
), recorded AS (
    INSERT INTO singleton_event (name, epoch, kind, instance, detail)
    SELECT $1, $2, 'released', instance, $4 FROM released
)
SELECT CASE WHEN $6::boolean THEN pg_advisory_unlock($7::bigint) ELSE true END
FROM (SELECT count(*) FROM released) AS first
