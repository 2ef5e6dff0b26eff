package singleton

import (
	"context"
	"fmt"
	"time"
)

// watch looks at the lease on a session of its own until ctx ends, and closes the
// session a moment later, or when it is dismissed.
func (e *Elector) watch(ctx, dismissed context.Context) {
	var s session
	defer func() {
		if wait(dismissed, goodbye); s != nil {
			s.close()
		}
	}()
	for ctx.Err() == nil {
		var err error
		if s == nil || s.broken() {
			s, err = e.cfg.store.open(ctx, roleWatch)
		}
		if err == nil {
			err = e.look(ctx, s)
		}
		if ctx.Err() == nil {
			e.note(inWatch, err)
		}
		wait(ctx, e.cfg.poll())
	}
}

// look compares one reading with the last. It ends the session of a stale
// holder, asks an older version to step down, and finds unregistered holders.
func (e *Elector) look(ctx context.Context, s session) error {
	now, err := s.read(ctx)
	if err != nil {
		return err
	}
	e.remember(now)
	if err := e.supersede(ctx, s, now); err != nil {
		return err
	}
	m := e.stale()
	if mode, _ := s.mode(); mode == Lease {
		return nil // the grant itself replaces a stale holder
	}
	if m.reason != "" && now.mode == Session {
		return e.replace(ctx, s, now, m)
	}
	return e.findStranger(ctx, s, now)
}

func (e *Elector) replace(ctx context.Context, s session, now snapshot, m mark) error {
	ended, err := s.takeover(ctx, m)
	if err != nil {
		return err
	}
	if !ended {
		return e.findStranger(ctx, s, now)
	}
	e.cfg.Log.Warn("took over from a stale holder", "former", now.instance, "epoch", now.epoch,
		"reason", m.reason, "age", m.age.String())
	e.forget()
	return nil
}

// supersede asks a holder of a smaller rank to step down, once per term and
// never the other way round.
func (e *Elector) supersede(ctx context.Context, s session, now snapshot) error {
	older := now.held() && now.rank > 0 && now.rank < e.cfg.Rank
	e.mu.Lock()
	again := e.asked == now.epoch
	e.mu.Unlock()
	if !e.cfg.Supersede || !older || again {
		return nil
	}
	if err := s.ask(ctx, now.epoch, e.cfg.Instance); err != nil {
		return fmt.Errorf("ask the older version to step down: %w", err)
	}
	e.mu.Lock()
	e.asked = now.epoch
	e.mu.Unlock()
	e.cfg.Log.Info("asked the older version to step down", "holder", now.instance, "epoch", now.epoch,
		"version", now.version, "own_version", e.cfg.Version)
	return nil
}

// findStranger looks for a session that holds the lock without being its
// registered holder. That may be anybody, so it is an alarm and no victim.
func (e *Elector) findStranger(ctx context.Context, s session, now snapshot) error {
	e.mu.Lock()
	quiet := e.cfg.now().since(e.seenAt)
	e.mu.Unlock()
	if quiet < e.cfg.StaleHeartbeat {
		return nil
	}
	pid, err := s.stranger(ctx)
	if err != nil {
		return fmt.Errorf("look for unregistered holders: %w", err)
	}
	e.mu.Lock()
	news := pid != 0 && pid != e.stranger
	e.stranger = pid
	e.mu.Unlock()
	if pid == 0 {
		return nil
	}
	if news {
		if err := s.record(ctx, now.epoch, "alarm", fmt.Sprintf("the lock is held by server process %d, which is not registered", pid)); err != nil {
			return fmt.Errorf("record the alarm: %w", err)
		}
	}
	return fmt.Errorf("the lock is held by server process %d, which is not registered; find out what it is, and end it with pg_terminate_backend(%d)", pid, pid)
}

// remember stores what was read and when it changed, on this process's clock.
func (e *Elector) remember(s snapshot) {
	e.mu.Lock()
	defer e.mu.Unlock()
	now := e.cfg.now()
	other := !e.looked || s.epoch != e.seen.epoch || s.term != e.seen.term
	if other || s.beat != e.seen.beat || s.state != e.seen.state {
		e.signAt, e.seenAt = now, now
	}
	if other || s.progress != e.seen.progress || !s.waiting {
		e.workedAt = now
	}
	e.seen, e.looked = s, true
}

// forget starts the timing anew, so that the session just ended is not judged again.
func (e *Elector) forget() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.seenAt, e.workedAt = e.cfg.now(), e.cfg.now()
}

// patience is for how long a silent holder is left alone. One that is configured
// otherwise, as during a deploy that changes the timers, says how long it trusts
// itself; a holder of before that was said is judged by the watcher's own time.
func (e *Elector) patience() time.Duration { return max(e.cfg.StaleHeartbeat, e.seen.stale) }

// stale names what has been unchanged for too long, if anything has.
func (e *Elector) stale() mark {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.looked || !e.seen.held() {
		return mark{}
	}
	silent, idle := e.cfg.age(e.seenAt), e.cfg.age(e.workedAt)
	switch {
	case silent >= e.patience():
		return mark{reasonHeartbeat, e.seen.epoch, e.seen.beat, silent}
	case e.seen.waiting && idle >= e.cfg.StaleIdle:
		return mark{reasonIdle, e.seen.epoch, e.seen.progress, idle}
	}
	return mark{}
}
