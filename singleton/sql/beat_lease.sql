-- Beats of lease mode come over any connection: epoch and term say whose they are.
UPDATE singleton_lease SET beat = beat + 1, beat_at = clock_timestamp(), progress = $4, waiting = $5, stale_ms = $6
WHERE name = $1 AND epoch = $2 AND term = $3::uuid AND state = 'held'
RETURNING asked_epoch = epoch, asked_by, asked_heir
