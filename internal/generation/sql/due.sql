-- What is due, and submissions that an earlier term began and did not record.
SELECT id FROM generations
WHERE state IN ('held', 'submitting', 'running', 'unknown') AND id <> ALL ($1::uuid[])
  AND (due_at <= clock_timestamp() OR state = 'submitting' AND claim_epoch < $2)
ORDER BY due_at
LIMIT $3
