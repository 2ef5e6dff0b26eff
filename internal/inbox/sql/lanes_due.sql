SELECT lane FROM inbox_messages
WHERE state = 'pending' AND source = $1 AND due_at <= clock_timestamp() AND lane <> ALL ($2::text[])
GROUP BY lane
ORDER BY min(id)
LIMIT $3
