-- One transition and its line in the history.
WITH moved AS (
    UPDATE generations SET
        state = $3,
        cause = CASE WHEN $4 = '' THEN cause ELSE $4 END,
        task_id = coalesce(nullif($5, ''), task_id),
        claim_epoch = $6,
        attempts = attempts + CASE WHEN $3 = 'submitting' THEN 1 ELSE 0 END,
        submitted_at = CASE WHEN $3 = 'submitting' THEN clock_timestamp() ELSE submitted_at END,
        finished_at = CASE WHEN $3 IN ('succeeded', 'failed') THEN clock_timestamp() END,
        due_at = clock_timestamp() + $7::bigint * interval '1 millisecond'
    WHERE id = $1 AND state = $2
    RETURNING id
)
INSERT INTO generation_events (generation_id, event, from_state, to_state, epoch, detail)
SELECT id, $8, $2, $3, $6, $9 FROM moved
