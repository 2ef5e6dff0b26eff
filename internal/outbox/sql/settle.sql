UPDATE outbox_messages SET state = $2, error = $3, finished_at = clock_timestamp()
WHERE id = $1 AND state = 'sending' AND claim_epoch = $4
