-- Removes the scratch message, and what a run that was killed has left.
DELETE FROM inbox_messages
WHERE source = $1 AND (key = $2 OR key LIKE 'smoke:%' AND received_at < clock_timestamp() - interval '1 hour')
