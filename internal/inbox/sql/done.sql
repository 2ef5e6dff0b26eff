UPDATE inbox_messages SET state = 'done', done_at = clock_timestamp(), error = '' WHERE id = $1 AND state = 'pending'
