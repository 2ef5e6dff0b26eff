-- What is due, and submissions that an earlier term began and did not record,
-- unless they may still be under way ($4).
SELECT id FROM generations
WHERE state IN ('held', 'submitting', 'running', 'unknown') AND id <> ALL ($1::uuid[])
  AND CASE WHEN state = 'submitting' AND claim_epoch < $2 THEN NOT $4::boolean
           ELSE due_at <= clock_timestamp() END
ORDER BY due_at
LIMIT $3
