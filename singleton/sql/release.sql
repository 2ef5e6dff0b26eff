WITH released AS (
    UPDATE singleton_lease SET state = 'released'
    WHERE name = $1 AND epoch = $2 AND term = $3::uuid
    RETURNING instance
)
INSERT INTO singleton_event (name, epoch, kind, instance, detail)
SELECT $1, $2, 'released', instance, $4 FROM released
