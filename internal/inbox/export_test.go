package inbox

// Queued counts the messages that wait for a commit to come.
func (r *Receiver) Queued() int { return len(r.queue) }
