UPDATE outbox_messages SET state = 'sending', claim_epoch = $2, attempts = attempts + 1 WHERE id = $1
