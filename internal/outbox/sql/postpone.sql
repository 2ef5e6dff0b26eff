UPDATE outbox_messages SET state = 'pending', error = $2, due_at = clock_timestamp() + $3::bigint * interval '1 millisecond'
WHERE id = $1 AND state = 'sending' AND claim_epoch = $4
