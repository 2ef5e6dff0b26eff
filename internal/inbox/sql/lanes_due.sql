-- A lane rests while any of its messages does: what arrives behind a failed one
-- is due, but not before it.
SELECT lane FROM inbox_messages
WHERE state = 'pending' AND source = $1 AND lane <> ALL ($2::text[])
GROUP BY lane
HAVING max(due_at) <= clock_timestamp()
ORDER BY min(id)
LIMIT $3
