package singleton

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// tenure is one term being worked.
type tenure struct {
	*Elector
	t        *Term
	stopWork context.CancelFunc

	warmed         <-chan struct{}
	begin          chan<- struct{} // closed once the instance is ACTIVE
	finished, lost <-chan error
	asked          <-chan request
}

// end is how a tenure ended: with the term in hand, or with its loss.
type end struct {
	lost   error
	work   error // of the work
	byWork bool  // the work returned by itself, or Run was told to stop: no further campaign
	reason string
	heir   string
}

// result is what a campaign came to.
type result struct {
	worked   bool // the work returned by itself, and Run should, too
	released bool // the session does not hold the lock any more
}

// hold runs work until it returns, the term is lost, somebody asks for it or ctx ends.
func (e *Elector) hold(ctx context.Context, s session, t *Term, work Work) (result, error) {
	workCtx, stopWork := context.WithCancel(t.ctx)
	defer stopWork()
	beatCtx, stopBeats := context.WithCancel(context.Background())
	lost, asked := make(chan error, 1), make(chan request, 1)
	var beside sync.WaitGroup
	defer beside.Wait()
	defer stopBeats()
	beside.Go(func() { lost <- e.beat(beatCtx, s, t, asked) })
	beside.Go(func() { e.gauge(beatCtx, t) })
	begin := make(chan struct{})
	warmed, finished := e.start(workCtx, t, work, begin)

	n := tenure{e, t, stopWork, warmed, begin, finished, lost, asked}
	how := n.run(ctx)
	if how.lost != nil {
		return result{}, e.demote(t, how.lost, finished)
	}
	stopBeats()
	if cause := <-lost; cause != nil { // at the last moment, when all work had stopped
		return result{worked: how.work != nil}, errors.Join(how.work, e.demote(t, cause, stopped()))
	}
	released := e.release(s, t, how)
	return result{how.byWork || how.work != nil, released}, how.work
}

func (n *tenure) run(ctx context.Context) end {
	for {
		select {
		case <-n.warmed:
			n.warmed = nil
			n.set(Active, n.t)
			close(n.begin)
		case err := <-n.finished:
			return end{work: err, byWork: true, reason: "the work ended"}
		case err := <-n.lost:
			return end{lost: err}
		case r := <-n.asked:
			n.cfg.Log.Info("asked to step down", "epoch", n.t.epoch, "by", r.by)
			return n.drain(end{reason: "asked by " + r.by, heir: r.heir})
		case <-ctx.Done():
			return n.drain(end{byWork: true, reason: "stopped"})
		}
	}
}

// drain lets work finish while the lock is still held. Work that takes longer
// than it may loses its term.
func (n *tenure) drain(how end) end {
	n.set(Draining, n.t)
	n.stopWork()
	limit := time.NewTimer(n.cfg.Drain)
	defer limit.Stop()
	select {
	case how.work = <-n.finished:
	case how.lost = <-n.lost:
	case <-limit.C:
		how.lost = fmt.Errorf("work did not finish within %s: %w", n.cfg.Drain, ErrLost)
	}
	return how
}

// stopped is the result of work that has stopped without an error.
func stopped() <-chan error {
	done := make(chan error, 1)
	done <- nil
	return done
}

// start warms up and, once begin is closed, works on a goroutine of its own.
func (e *Elector) start(ctx context.Context, t *Term, work Work, begin <-chan struct{}) (warmed <-chan struct{}, finished <-chan error) {
	warm, done := make(chan struct{}), make(chan error, 1)
	go func() {
		if err := e.warm(ctx, t); err != nil || ctx.Err() != nil {
			done <- err
			return
		}
		close(warm)
		select {
		case <-begin:
			done <- work(ctx, t)
		case <-ctx.Done():
			done <- nil
		}
	}()
	return warm, done
}

// warm prepares the work. That it was told to stop meanwhile is no error.
func (e *Elector) warm(ctx context.Context, t *Term) error {
	if e.cfg.Warm == nil {
		return nil
	}
	if err := e.cfg.Warm(ctx, t); err != nil && ctx.Err() == nil {
		return fmt.Errorf("warm up: %w", err)
	}
	return nil
}

// release gives the lock back after all work has stopped, or leaves that to the
// end of its session.
func (e *Elector) release(s session, t *Term, how end) bool {
	t.cancel(ErrReleased)
	if how.work != nil {
		how.reason = "the work failed"
	}
	ctx, cancel := context.WithTimeout(context.Background(), e.cfg.StaleHeartbeat/2)
	defer cancel()
	if err := s.release(ctx, t, how.reason, how.heir); err != nil {
		e.cfg.Log.Error("lock released by closing its connection", "epoch", t.epoch, "error", err.Error())
		return false
	}
	e.cfg.Log.Info("lock released", "epoch", t.epoch, "instance", e.cfg.Instance, "reason", how.reason,
		"held", time.Since(t.began).Round(time.Millisecond).String())
	return true
}

// demote ends a lost term: work is told, and gets a moment to stop. Work that
// goes on ends the process, for nothing else could stop its outside effects.
func (e *Elector) demote(t *Term, cause error, finished <-chan error) error {
	e.set(Demoting, t)
	t.cancel(cause)
	e.note(inBeat, nil)
	e.cfg.Observe(Observation{Lost: cause})
	e.cfg.Log.Error("lock lost", "epoch", t.epoch, "instance", e.cfg.Instance, "reason", cause.Error(),
		"heartbeat_age", t.heartbeatAge().String())
	recorded := make(chan struct{})
	go func() { defer close(recorded); e.recordLoss(t, cause) }()
	limit := time.NewTimer(e.cfg.grace())
	defer limit.Stop()
	select {
	case err := <-finished:
		if err != nil && !errors.Is(err, context.Canceled) {
			e.cfg.Log.Warn("work ended with its term", "epoch", t.epoch, "error", err.Error())
		}
	case <-limit.C: // not for the record: others may take over soon
		e.cfg.Log.Error("work ignores the loss of its term; ending the process", "epoch", t.epoch)
		e.cfg.Exit(3)
		<-finished //nolint:errcheck // only tests come here: Exit does not return
	}
	<-recorded
	return fmt.Errorf("term %d ended: %w", t.epoch, cause)
}

// recordLoss writes the history row on a fresh session, if there is one to be had.
func (e *Elector) recordLoss(t *Term, cause error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	s, err := e.cfg.store.open(ctx, roleWatch)
	if err != nil {
		return
	}
	defer s.close()
	detail := fmt.Sprintf("%s (last heartbeat %s ago)", cause.Error(), t.heartbeatAge().Round(10*time.Millisecond))
	if err := s.record(ctx, t.epoch, "lost", detail); err != nil {
		e.cfg.Log.Warn("loss not recorded", "error", err.Error())
	}
}

// gauge keeps the term's knowledge of whether work waits, apart from the work
// itself, which may hang. A term that warms up or drains keeps work waiting by
// right, however long it takes.
func (e *Elector) gauge(ctx context.Context, t *Term) {
	patience := min(e.cfg.StaleHeartbeat, e.cfg.StaleIdle/4) // "unknown" must come before "idle"
	for e.cfg.Waiting != nil {
		if wait(ctx, e.cfg.Heartbeat); ctx.Err() != nil { // at first as well: a term that begins has better to do
			return
		}
		ask, cancel := context.WithTimeout(ctx, patience)
		waiting, err := e.cfg.Waiting(ask)
		cancel()
		t.noteWaiting(waiting && err == nil && e.Status().State == Active)
	}
}

// beat renews the lease until ctx ends (nil) or the term is over (the reason).
// Between beats it reads the session, so that one ended by the server is noticed
// at once, and a request to step down is heard.
func (e *Elector) beat(ctx context.Context, s session, t *Term, asked chan<- request) error {
	next := e.cfg.now().add(e.cfg.Heartbeat)
	for {
		if err := e.listen(ctx, s, t, next); err != nil || ctx.Err() != nil {
			return err
		}
		due := e.cfg.now()
		r, err := e.renew(ctx, s, t)
		if err != nil {
			return err
		}
		if idle := t.idle(); idle >= trust(e.cfg.StaleIdle) { // asked of a live term: one that was frozen is no idle one
			return fmt.Errorf("%w for %s", ErrIdle, idle.Round(10*time.Millisecond))
		}
		if r.asked {
			select {
			case asked <- r:
			default: // it is known already
			}
		}
		next = due.add(e.cfg.Heartbeat) // not from the answer: a slow link would stretch the period
	}
}

// renew sends one heartbeat and repeats it while the session lives and the term
// lasts. Its deadline is the term's own: a shorter one would close the
// connection, and with it lose a lock that is merely slow.
func (e *Elector) renew(ctx context.Context, s session, t *Term) (request, error) {
	for {
		sent := e.cfg.now()
		r, err := e.beatOnce(ctx, s, t)
		if err == nil {
			t.extend(sent, trust(e.cfg.StaleHeartbeat))
			e.note(inBeat, nil)
			e.cfg.Observe(Observation{Beat: e.cfg.age(sent)})
			return r, nil
		}
		m, _ := s.mode()
		switch {
		case t.fenced.Err() != nil:
			return r, context.Cause(t.fenced)
		case errors.Is(err, ErrFenced):
			return r, fmt.Errorf("heartbeat: %w", ErrFenced)
		case m == Session && s.broken(), readOnly(err), t.remaining() <= 0:
			return r, fmt.Errorf("heartbeat: %w: %w", ErrLost, err)
		}
		e.note(inBeat, fmt.Errorf("heartbeat: %w", err))
		if wait(context.WithoutCancel(ctx), min(e.cfg.Heartbeat/4, max(t.remaining(), 0))); t.remaining() <= 0 {
			return r, fmt.Errorf("heartbeat: %w: %w", ErrLost, err)
		}
	}
}

func (e *Elector) beatOnce(ctx context.Context, s session, t *Term) (request, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), t.remaining())
	defer cancel()
	stop := context.AfterFunc(t.fenced, cancel) // a transaction knows already what the beat would say
	defer stop()
	return s.beat(ctx, t, t.pulse())
}

// readOnly recognises a server that became a replica under an open connection.
func readOnly(err error) bool {
	var e *pgconn.PgError
	return errors.As(err, &e) && e.Code == "25006"
}

// listen reads the session until the next beat is due or something was said.
func (e *Elector) listen(ctx context.Context, s session, t *Term, next instant) error {
	pause, cancel := context.WithTimeout(ctx, next.since(e.cfg.now()))
	defer cancel()
	stop := context.AfterFunc(t.fenced, cancel)
	defer stop()
	if err := s.idle(pause); err != nil {
		return fmt.Errorf("the lock's connection ended: %w: %w", ErrLost, err)
	}
	return context.Cause(t.fenced)
}
