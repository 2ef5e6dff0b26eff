SELECT count(*) FROM generations WHERE user_id = $1 AND state IN ('held', 'submitting', 'running', 'unknown')
