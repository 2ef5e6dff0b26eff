-- One transition and its line in the history.
WITH moved AS (
    UPDATE orders SET
        state = $3,
        task_id = coalesce(task_id, 'task-' || id),
        claim_epoch = $4,
        attempts = attempts + 1,
        submitted_at = coalesce(submitted_at, clock_timestamp()),
        finished_at = CASE WHEN $3 = 'succeeded' THEN clock_timestamp() END
    WHERE id = $1 AND state = $2
    RETURNING id
)
INSERT INTO order_events (generation_id, event, from_state, to_state, epoch)
SELECT id, 'moved', $2, $3, $4 FROM moved
