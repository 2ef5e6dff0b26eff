-- Removes what the lock check wrote, and what a run that was killed has left.
WITH scratch AS (
    SELECT name FROM singleton_lease
    WHERE name = $1 OR name LIKE 'smoke/%' AND beat_at < clock_timestamp() - interval '1 hour'
), events AS (
    DELETE FROM singleton_event WHERE name IN (SELECT name FROM scratch)
), fence AS (
    DELETE FROM singleton_fence WHERE name IN (SELECT name FROM scratch)
)
DELETE FROM singleton_lease WHERE name IN (SELECT name FROM scratch)
