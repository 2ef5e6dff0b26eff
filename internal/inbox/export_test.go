package inbox

import "time"

// MaxBatch is how many messages one commit takes.
const MaxBatch = maxBatch

// NotifyAtMostEvery makes independent of time when a notification is put off. It
// must be called before Run.
func (r *Receiver) NotifyAtMostEvery(d time.Duration) { r.rest = d }

// Queued counts the messages that wait for a commit to come.
func (r *Receiver) Queued() int { return len(r.queue) }
