package singleton

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// State is what an instance is at this moment.
type State string

// The states, in the order in which an instance passes them:
//
//	PROBING -> PASSIVE -> ACTIVE -> DRAINING -> STOPPED
//	              ^          |
//	              +- DEMOTING <- lost, fenced or taken over
const (
	Probing  State = "PROBING"  // connecting to the database
	Passive  State = "PASSIVE"  // waiting for the lock
	Active   State = "ACTIVE"   // holding it; work runs
	Draining State = "DRAINING" // asked to stop; still holding it while work finishes
	Demoting State = "DEMOTING" // the term is over; work must stop at once
	Stopped  State = "STOPPED"
)

// Work is what only the holder does. It runs from the moment the lock is held.
// ctx is cancelled when work should finish what it has begun and return; by
// then the term usually still holds, so transactions of t still commit. When
// the term itself ends, t.Context is cancelled, and work that has not returned
// two seconds later ends the process.
type Work func(ctx context.Context, t *Term) error

// Elector campaigns for one lock. Its methods are safe for concurrent use.
type Elector struct {
	cfg Config

	mu      sync.Mutex
	state   State
	term    *Term
	seen    snapshot
	seenAt  time.Time
	trouble string
	changed chan struct{} // closed and replaced at every change of state
}

// New checks the configuration. It reaches no server; Run does.
func New(cfg Config) (*Elector, error) {
	if err := cfg.complete(); err != nil {
		return nil, err
	}
	return &Elector{cfg: cfg, state: Probing, changed: make(chan struct{})}, nil
}

// slice is how long one waiting statement may hold its snapshot.
const slice = 5 * time.Second

// Run campaigns until ctx ends and calls work for every term. When ctx ends it
// lets work finish, releases the lock and returns nil. An instance that lost
// its term campaigns again; trouble with the database is logged when it changes
// and retried with growing pauses. An error of work ends its term and Run.
func (e *Elector) Run(ctx context.Context, work Work) error {
	defer e.set(Stopped, nil)
	pause := time.Duration(0)
	for ctx.Err() == nil {
		worked, err := e.campaign(ctx, work)
		if err != nil && worked {
			return err
		}
		if ctx.Err() != nil {
			break
		}
		e.note(err)
		if pause = nextPause(pause, err); pause > 0 {
			wait(ctx, pause)
		}
	}
	return nil
}

// nextPause doubles from 100 ms to 5 s while attempts fail, with jitter.
func nextPause(last time.Duration, err error) time.Duration {
	if err == nil {
		return 0
	}
	next := min(max(2*last, 100*time.Millisecond), 5*time.Second)
	return next - rand.N(next/4+1)
}

func wait(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

// campaign waits for the lock once and works one term. worked reports that err
// came from work and not from the lock.
func (e *Elector) campaign(ctx context.Context, work Work) (worked bool, err error) {
	conn, err := e.cfg.connect(ctx, "lock")
	if err != nil {
		e.set(Probing, nil)
		return false, err
	}
	defer closeConn(conn)
	if _, err := conn.Exec(ctx, sqlRegister, e.cfg.Name, stripes); err != nil {
		return false, fmt.Errorf("register the lock: %w; did Bootstrap run?", err)
	}
	e.set(Passive, nil)
	g, err := e.await(ctx, conn)
	if err != nil {
		return false, err
	}
	t, err := e.begin(ctx, conn, g)
	if err != nil {
		return false, err
	}
	e.note(nil)
	e.cfg.Log.Info("lock acquired", "epoch", g.epoch, "instance", e.cfg.Instance,
		"former", g.formerInstance, "clean", t.Clean())
	e.set(Active, t)
	return e.hold(ctx, conn, t, work)
}

// await queues for the lock in slices while a watcher looks for a stale holder.
func (e *Elector) await(ctx context.Context, conn *pgx.Conn) (grant, error) {
	watchCtx, stop := context.WithCancel(ctx)
	var watcher sync.WaitGroup
	watcher.Go(func() { e.watch(watchCtx) })
	defer watcher.Wait()
	defer stop()
	for {
		g, err := e.cfg.acquire(ctx, conn, slice)
		if err != nil || g.outcome == "acquired" {
			return g, err
		}
		if g.outcome == "fence_busy" {
			e.endWork(ctx, conn, g)
		}
	}
}

// begin turns a grant into a term. The process may have been frozen between the
// grant and its answer, so the term counts from a heartbeat sent now.
func (e *Elector) begin(ctx context.Context, conn *pgx.Conn, g grant) (*Term, error) {
	sent := time.Now()
	t := newTerm(e.cfg.Name, g, sent.Add(trust(e.cfg.StaleHeartbeat)), sent)
	tag, err := e.renew(ctx, conn, t)
	if err != nil {
		return nil, fmt.Errorf("first heartbeat: %w", err)
	}
	if tag.RowsAffected() != 1 {
		return nil, fmt.Errorf("first heartbeat found another term: %w", ErrFenced)
	}
	return t, nil
}

// endWork removes the former holder's open transactions, which keep the fence.
func (e *Elector) endWork(ctx context.Context, conn *pgx.Conn, g grant) {
	var n int
	if err := conn.QueryRow(ctx, sqlEndWork, g.formerWorkApp).Scan(&n); err != nil {
		e.note(fmt.Errorf("end the former holder's sessions: %w", err))
		return
	}
	e.cfg.Log.Warn("the former holder's work sessions were ended", "former", g.formerInstance, "sessions", n)
}

// hold runs work until it returns, the term is lost or ctx ends.
func (e *Elector) hold(ctx context.Context, conn *pgx.Conn, t *Term, work Work) (worked bool, err error) {
	workCtx, stopWork := context.WithCancel(t.ctx)
	defer stopWork()
	finished := make(chan error, 1)
	go func() { finished <- work(workCtx, t) }()

	beatCtx, stopBeats := context.WithCancel(context.Background())
	defer stopBeats()
	lost := make(chan error, 1)
	go func() { lost <- e.beat(beatCtx, conn, t) }()

	select {
	case err = <-finished:
	case err = <-lost:
		return false, e.demote(t, err, finished)
	case <-ctx.Done():
		e.set(Draining, t)
		stopWork()
		select {
		case err = <-finished:
		case err = <-lost:
			return false, e.demote(t, err, finished)
		}
	}
	stopBeats()
	if cause := <-lost; cause != nil { // at the last moment, when all work had stopped
		done := make(chan error, 1)
		done <- nil
		return err != nil, errors.Join(err, e.demote(t, cause, done))
	}
	e.release(conn, t, err)
	return true, err
}

// release gives the lock back after all work has stopped.
func (e *Elector) release(conn *pgx.Conn, t *Term, why error) {
	t.cancel(ErrReleased)
	ctx, cancel := context.WithTimeout(context.Background(), e.cfg.StaleHeartbeat/2)
	defer cancel()
	reason := "stopped"
	if why != nil {
		reason = "work failed"
	}
	if _, err := conn.Exec(ctx, sqlRelease, e.cfg.Name, t.epoch, t.id, reason); err != nil {
		e.cfg.Log.Error("lock released by closing its connection", "epoch", t.epoch, "error", err.Error())
		return
	}
	var unlocked bool
	if err := conn.QueryRow(ctx, sqlUnlock, key(e.cfg.Name)).Scan(&unlocked); err != nil || !unlocked {
		e.cfg.Log.Error("lock released by closing its connection", "epoch", t.epoch, "unlocked", unlocked)
		return
	}
	e.cfg.Log.Info("lock released", "epoch", t.epoch, "instance", e.cfg.Instance, "reason", reason)
}

// demote ends a lost term: work is told, and gets a moment to stop. Work that
// goes on ends the process, for nothing else could stop its outside effects.
func (e *Elector) demote(t *Term, cause error, finished <-chan error) error {
	e.set(Demoting, t)
	t.cancel(cause)
	e.cfg.Log.Error("lock lost", "epoch", t.epoch, "instance", e.cfg.Instance, "reason", cause.Error(),
		"heartbeat_age", t.heartbeatAge().String())
	select {
	case err := <-finished:
		if err != nil && !errors.Is(err, context.Canceled) {
			e.cfg.Log.Warn("work ended with its term", "epoch", t.epoch, "error", err.Error())
		}
	case <-time.After(grace):
		e.cfg.Log.Error("work ignores the loss of its term; ending the process", "epoch", t.epoch)
		e.cfg.Exit(3)
		<-finished //nolint:errcheck // only tests come here: Exit does not return
	}
	e.recordLoss(t, cause)
	return fmt.Errorf("term %d ended: %w", t.epoch, cause)
}

// recordLoss writes the history row on a fresh connection, if there is one to be had.
func (e *Elector) recordLoss(t *Term, cause error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	conn, err := e.cfg.connect(ctx, "record")
	if err != nil {
		return
	}
	defer closeConn(conn)
	if _, err := conn.Exec(ctx, sqlLost, e.cfg.Name, t.epoch, e.cfg.Instance, cause.Error()); err != nil {
		e.cfg.Log.Warn("loss not recorded", "error", err.Error())
	}
}

// beat renews the lease until ctx ends (nil) or the term is over (the reason).
// Between beats it reads the connection, so that a session ended by the server
// is noticed at once.
func (e *Elector) beat(ctx context.Context, conn *pgx.Conn, t *Term) error {
	next := time.Now().Add(e.cfg.Heartbeat)
	for {
		if err := e.idle(ctx, conn, t, next); err != nil || ctx.Err() != nil {
			return err
		}
		sent := time.Now()
		tag, err := e.renew(ctx, conn, t)
		if err != nil {
			return fmt.Errorf("heartbeat: %w: %w", ErrLost, err)
		}
		if tag.RowsAffected() != 1 {
			return fmt.Errorf("heartbeat found another term: %w", ErrFenced)
		}
		t.extend(sent, trust(e.cfg.StaleHeartbeat))
		next = sent.Add(e.cfg.Heartbeat)
	}
}

// renew sends one heartbeat. Its deadline is the term's own: a shorter one
// would close the connection, and with it lose a lock that is merely slow.
func (e *Elector) renew(ctx context.Context, conn *pgx.Conn, t *Term) (pgconn.CommandTag, error) {
	ctx, cancel := context.WithDeadline(context.WithoutCancel(ctx), t.expiry())
	defer cancel()
	return conn.Exec(ctx, sqlBeat, e.cfg.Name, t.epoch, t.id)
}

// idle reads the lock's connection until the next beat is due.
func (e *Elector) idle(ctx context.Context, conn *pgx.Conn, t *Term, next time.Time) error {
	wait, cancel := context.WithDeadline(ctx, next)
	defer cancel()
	stop := context.AfterFunc(t.fenced, cancel)
	defer stop()
	for {
		_, err := conn.WaitForNotification(wait)
		if err == nil {
			continue // nothing is said on this channel yet
		}
		if wait.Err() == nil {
			return fmt.Errorf("the lock's connection ended: %w: %w", ErrLost, err)
		}
		return context.Cause(t.fenced)
	}
}

func (e *Elector) set(s State, t *Term) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.state, e.term = s, t
	close(e.changed)
	e.changed = make(chan struct{})
}

// note logs trouble when it changes, not each time it repeats.
func (e *Elector) note(err error) {
	text := ""
	if err != nil {
		text = err.Error()
	}
	e.mu.Lock()
	was := e.trouble
	e.trouble = text
	e.mu.Unlock()
	switch text {
	case was:
	case "":
		e.cfg.Log.Info("lock trouble is over", "was", was)
	default:
		e.cfg.Log.Warn("lock trouble", "error", text)
	}
}
