-- Lanes that are due now, the longest waiting first, and then those that will be
-- within the poll; with the time until then. A lane rests while any of its messages
-- does: what arrives behind a failed one is due, but not before it.
SELECT lane, max(due_at) - clock_timestamp()
FROM inbox_messages
WHERE state = 'pending' AND source = $1 AND lane <> ALL ($2::text[])
GROUP BY lane
HAVING max(due_at) <= clock_timestamp() + interval '1 second'
ORDER BY greatest(max(due_at), statement_timestamp()), min(id)
LIMIT $3
