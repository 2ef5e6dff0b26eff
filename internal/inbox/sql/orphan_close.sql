UPDATE inbox_messages SET state = 'done', done_at = clock_timestamp(), error = 'what it speaks of is over' WHERE id = ANY ($1::bigint[])
