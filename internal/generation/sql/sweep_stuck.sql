-- Whatever has outlived the limit of its state becomes due, and the state machine
-- decides: nothing is moved, captured or released here.
UPDATE generations SET due_at = clock_timestamp() WHERE id IN (
    SELECT id FROM generations
    WHERE due_at > clock_timestamp() AND (
        state = 'held' AND created_at < clock_timestamp() - $2::bigint * interval '1 millisecond'
        OR state = 'submitting' AND submitted_at < clock_timestamp() - $3::bigint * interval '1 millisecond'
        OR state = 'unknown' AND submitted_at < clock_timestamp() - $4::bigint * interval '1 millisecond'
        OR state = 'running' AND submitted_at < clock_timestamp() - $5::bigint * interval '1 millisecond')
    ORDER BY due_at LIMIT $1
    FOR NO KEY UPDATE SKIP LOCKED)
