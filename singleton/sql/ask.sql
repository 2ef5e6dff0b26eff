-- Asks the term $2 to end, once. The notification only saves the wait for the
-- next heartbeat, which reads the row.
WITH asked AS (
    UPDATE singleton_lease SET asked_epoch = epoch, asked_by = $3, asked_heir = $4
    WHERE name = $1 AND epoch = $2 AND state = 'held' AND asked_epoch <> epoch
    RETURNING instance
), recorded AS (
    INSERT INTO singleton_event (name, epoch, kind, instance, detail)
    SELECT $1, $2, 'asked', instance, 'to step down, by ' || $3 FROM asked
)
SELECT pg_notify('singleton', $1) FROM asked
