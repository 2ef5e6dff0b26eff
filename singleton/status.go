package singleton

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// Status is what this instance knows without asking the database.
type Status struct {
	State        State
	Mode         Mode          // Session or Lease once it is known
	ModeReason   string        // why that mode
	Instance     string        // this one
	Holder       string        // the ACTIVE one, "" if unknown
	Version      string        // of the holder, "" if unknown
	Epoch        int64         // of the newest term seen
	Since        time.Time     // when that term began; zero if unknown
	HeartbeatAge time.Duration // since the last heartbeat sent (holder) or seen to change (watcher)
	Idle         time.Duration // for how long work has waited without progress
	Remaining    time.Duration // for how long the holder may still trust itself; 0 on others
	Barrier      time.Duration // for how long unfinished acts of the former holder still wait
	Trouble      string        // why the lock cannot be reached, "" when it can
}

// Status returns the present state.
func (e *Elector) Status() Status {
	e.mu.Lock()
	defer e.mu.Unlock()
	s := Status{State: e.state, Mode: e.mode, ModeReason: e.modeWhy, Instance: e.cfg.Instance, Trouble: e.troubles()}
	if t := e.term; t != nil {
		s.Holder, s.Version, s.Epoch, s.Since, s.HeartbeatAge = e.cfg.Instance, e.cfg.Version, t.epoch, t.began, t.heartbeatAge()
		s.Remaining, s.Barrier = max(t.remaining(), 0), t.Barrier()
		s.Idle = t.idle()
		return s
	}
	s.Epoch = e.seen.epoch
	if e.seen.held() {
		s.Holder, s.Version, s.Since, s.HeartbeatAge = e.seen.instance, e.seen.version, e.seen.acquiredAt, e.cfg.age(e.signAt)
	}
	if e.seen.held() && e.seen.waiting {
		s.Idle = e.cfg.age(e.workedAt)
	}
	return s
}

// WaitState blocks until the instance is in one of the states or ctx ends.
func (e *Elector) WaitState(ctx context.Context, states ...State) error {
	for {
		e.mu.Lock()
		now, changed := e.state, e.changed
		e.mu.Unlock()
		if slices.Contains(states, now) {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("wait for the lock state %v, still %s: %w", states, now, ctx.Err())
		}
	}
}
