SELECT at, event, from_state, to_state, epoch, detail FROM generation_events WHERE generation_id = $1 ORDER BY id
