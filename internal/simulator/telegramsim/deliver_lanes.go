package telegramsim

import (
	"slices"
	"time"
)

// lanes are the queues of updates on their way to the webhook.
//
//	 push        next             done, more left
//	──────► ready ────► in flight ───────────────► ready
//	          ▲             │ failed or held
//	          └── waiting ◄─┘
//
// It knows nothing of time but what it is told, and is guarded by Server.mu.
type lanes struct {
	byKey    map[string]*lane
	ready    []*lane // first come, first served
	waiting  []*lane // until their wakeAt
	inFlight int
}

// lane is one queue. It exists while it has updates.
type lane struct {
	key     string
	updates []*update
	wakeAt  time.Time
	held    bool // by a reorder fault, until another lane makes progress
}

func newLanes() lanes { return lanes{byKey: map[string]*lane{}} }

func (l *lanes) push(u *update) {
	if existing, ok := l.byKey[u.Queue]; ok {
		existing.updates = append(existing.updates, u)
		return
	}
	fresh := &lane{key: u.Queue, updates: []*update{u}}
	l.byKey[u.Queue] = fresh
	l.ready = append(l.ready, fresh)
}

// next takes the longest ready lane, whose head is in flight from then on until done, retry or hold.
func (l *lanes) next(now time.Time) *lane {
	l.waiting = slices.DeleteFunc(l.waiting, func(w *lane) bool {
		due := !w.wakeAt.After(now)
		if due {
			w.held = false
			l.ready = append(l.ready, w)
		}
		return due
	})
	if len(l.ready) == 0 {
		return nil
	}
	first := l.ready[0]
	l.ready = l.ready[1:]
	l.inFlight++
	return first
}

// done removes the head of a lane that was in flight.
func (l *lanes) done(d *lane) {
	l.inFlight--
	d.updates = d.updates[1:]
	if len(d.updates) == 0 {
		delete(l.byKey, d.key)
		return
	}
	l.ready = append(l.ready, d)
}

// retry puts a lane that was in flight aside until at; its head stays where it is, and so blocks the lane.
func (l *lanes) retry(d *lane, at time.Time) {
	l.inFlight--
	d.wakeAt = at
	l.waiting = append(l.waiting, d)
}

// hold is retry for a lane that may go earlier, as soon as another one made progress.
func (l *lanes) hold(d *lane, until time.Time) {
	d.held = true
	l.retry(d, until)
}

// releaseHeld makes every held lane but one due.
func (l *lanes) releaseHeld(except *lane, now time.Time) {
	for _, w := range l.waiting {
		if w.held && w != except {
			w.wakeAt = now
		}
	}
}

// wakeAt says when the first waiting lane is due.
func (l *lanes) wakeAt() (time.Time, bool) {
	if len(l.waiting) == 0 {
		return time.Time{}, false
	}
	first := slices.MinFunc(l.waiting, func(a, b *lane) int { return a.wakeAt.Compare(b.wakeAt) })
	return first.wakeAt, true
}
