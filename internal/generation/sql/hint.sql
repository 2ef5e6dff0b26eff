-- A callback speaks of this generation: look at once.
UPDATE generations SET due_at = clock_timestamp(), task_hint = CASE WHEN task_id IS NULL THEN $2 ELSE task_hint END
WHERE id = $1 AND state IN ('submitting', 'running', 'unknown')
