-- What is due now, with submissions that an earlier term began and did not record,
-- unless they may still be under way ($4), and then what will be within the poll;
-- with the time until then.
SELECT id, CASE WHEN state = 'submitting' AND claim_epoch < $2 THEN interval '0' ELSE due_at - clock_timestamp() END AS wait
FROM generations
WHERE state IN ('held', 'submitting', 'running', 'unknown') AND id <> ALL ($1::uuid[])
  AND CASE WHEN state = 'submitting' AND claim_epoch < $2 THEN NOT $4::boolean
           ELSE due_at <= clock_timestamp() + interval '1 second' END
ORDER BY wait
LIMIT $3
