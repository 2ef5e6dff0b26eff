package singleton

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// State is what an instance is at this moment.
type State string

// The states, in the order in which an instance passes them:
//
//	PROBING -> PASSIVE -> WARMING -> ACTIVE -> DRAINING -> PASSIVE or STOPPED
//	              ^          |          |          |
//	              +------ DEMOTING <----+----------+  lost, fenced, idle or taken over
const (
	Probing  State = "PROBING"  // connecting to the database and finding out the mode
	Passive  State = "PASSIVE"  // waiting for the lock
	Warming  State = "WARMING"  // holding it and preparing the work
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
	cfg     Config
	parting sync.WaitGroup // sessions that are being closed

	mu       sync.Mutex
	state    State
	mode     Mode
	modeWhy  string
	term     *Term
	seen     snapshot
	signAt   instant // of the last change of the heartbeat
	seenAt   instant // the same, or of a takeover since then: not to judge the ended session again
	workedAt instant // of the last progress, or of the last look when nothing waited
	looked   bool
	asked    int64             // the newest epoch that this instance asked to end
	stranger int32             // who was last found to hold the lock unregistered
	trouble  map[string]string // by place
	changed  chan struct{}     // closed and replaced at every change of state
}

// New checks the configuration. It reaches no server; Run does.
func New(cfg Config) (*Elector, error) {
	e := &Elector{cfg: cfg, state: Probing, changed: make(chan struct{}), trouble: map[string]string{}}
	if err := e.cfg.complete(); err != nil {
		return nil, err
	}
	return e, nil
}

// Run campaigns until ctx ends and calls work for every term. When ctx ends it
// lets work finish, releases the lock and returns nil. An instance that lost
// its term, or was asked to step down, campaigns again; trouble with the
// database is logged when it changes and retried with growing pauses. An error
// of work ends its term and Run.
func (e *Elector) Run(ctx context.Context, work Work) error {
	defer e.parting.Wait()
	defer e.set(Stopped, nil)
	pause := time.Duration(0)
	for ctx.Err() == nil {
		began := e.cfg.now()
		worked, err := e.campaign(ctx, work)
		if worked {
			return err
		}
		if ctx.Err() != nil {
			break
		}
		e.note(inCampaign, err)
		if e.cfg.age(began) > max(pause, time.Second) {
			pause = 0 // that one went well for a while: no reason to stay away longer than the first time
		}
		if pause = nextPause(pause, err); pause > 0 {
			wait(ctx, pause)
		}
	}
	return nil
}

// nextPause grows by half from 100 ms while attempts fail, with jitter: to a second, so
// that a server which is back has a holder soon, or to 5 s when there are too many
// clients, whose attempts cost it as much as their connections would.
func nextPause(last time.Duration, err error) time.Duration {
	if err == nil {
		return 0
	}
	limit := time.Second
	if full, ok := errors.AsType[*pgconn.PgError](err); ok && full.Code == tooManyConnections {
		limit = 5 * time.Second
	}
	next := min(max(last+last/2, 100*time.Millisecond), limit)
	return next - rand.N(next/4+1)
}

// tooManyConnections is the SQLSTATE of a server whose connections are all taken.
const tooManyConnections = "53300"

func wait(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

// campaign waits for the lock once and works one term. worked reports that the
// work returned by itself and Run should, too.
func (e *Elector) campaign(ctx context.Context, work Work) (worked bool, err error) {
	s, err := e.cfg.store.open(ctx, roleLock)
	if err != nil {
		e.set(Probing, nil)
		return false, err
	}
	var r result
	defer func() { e.part(s, r) }()
	e.found(s.mode())
	e.set(Passive, nil)
	began := e.cfg.now()
	stopWatching, dismissWatcher := e.startWatcher(ctx, s)
	defer dismissWatcher()
	g, err := e.await(ctx, s)
	stopWatching()
	if err != nil {
		return false, err
	}
	t, err := e.begin(ctx, s, g)
	if err != nil {
		return false, err
	}
	e.note(inWatch, nil) // a holder does not watch
	e.cfg.Log.Info("lock acquired", "epoch", g.epoch, "instance", e.cfg.Instance, "former", g.formerInstance,
		"clean", t.Clean(), "waited", e.cfg.age(began).String())
	e.cfg.Observe(Observation{State: Warming, Wait: e.cfg.age(began)})
	e.set(Warming, t)
	r, err = e.hold(ctx, s, t, work)
	if m, _ := s.mode(); m == Lease && !r.worked && err == nil {
		e.set(Passive, nil)
		wait(ctx, 3*e.cfg.poll()) // stepped down: the others look less often than this one would
	}
	return r.worked, err
}

// goodbye is how long a session stays that has nothing to do any more: the end of a
// server process takes milliseconds of processor time from the term that begins.
const goodbye = 100 * time.Millisecond

// part closes a session: at once while it may hold the lock or wait for it.
func (e *Elector) part(s session, r result) {
	if !r.released {
		s.close()
		return
	}
	e.parting.Go(func() {
		time.Sleep(goodbye)
		s.close()
	})
}

// startWatcher looks for a stale holder while a session waits in the lock's queue.
// stop ends that; dismiss also closes the watcher's session and waits for it.
func (e *Elector) startWatcher(ctx context.Context, s session) (stop, dismiss func()) {
	ctx, stop = context.WithCancel(ctx)
	var watcher sync.WaitGroup
	dismissed, end := context.WithCancel(context.Background())
	if m, _ := s.mode(); m == Session {
		watcher.Go(func() { e.watch(ctx, dismissed) })
	}
	return stop, func() {
		stop()
		end()
		watcher.Wait()
	}
}

// found keeps the mode, and says it when it is news.
func (e *Elector) found(m Mode, why string) {
	e.mu.Lock()
	news := m != e.mode
	e.mode, e.modeWhy = m, why
	e.mu.Unlock()
	if news {
		e.cfg.Log.Info("lock mode", "mode", string(m), "reason", why)
	}
}

// slice is how long one waiting statement may hold its snapshot; the first is
// short, so that a campaign soon knows that it can wait.
const (
	slice = 5 * time.Second
	first = 250 * time.Millisecond
)

// await queues for the lock. In session mode the session is blocked in the
// queue; in lease mode looking is all there is to do.
func (e *Elector) await(ctx context.Context, s session) (grant, error) {
	m, _ := s.mode()
	for patience := first; ; patience = slice {
		if m == Lease {
			if err := e.awaitRipe(ctx, s); err != nil {
				return grant{}, err
			}
		}
		g, err := s.acquire(ctx, e.stale(), patience)
		if err != nil {
			return g, err
		}
		e.note(inCampaign, nil)
		if g.outcome == "acquired" {
			return g, nil
		}
		e.declined(ctx, s, g)
		if ctx.Err() != nil {
			return g, ctx.Err()
		}
	}
}

// declined does what an outcome other than a grant asks for.
func (e *Elector) declined(ctx context.Context, s session, g grant) {
	switch g.outcome {
	case "fence_busy":
		e.endWork(ctx, s, g)
	case "yield":
		wait(ctx, 20*time.Millisecond)
	case "held", "damped":
		wait(ctx, jitter(e.cfg.poll()))
	}
}

// awaitRipe looks at the lease until it is released or stale.
func (e *Elector) awaitRipe(ctx context.Context, s session) error {
	for {
		if err := e.look(ctx, s); err != nil {
			return err
		}
		e.mu.Lock()
		held := e.seen.held()
		e.mu.Unlock()
		if !held || e.stale().reason != "" {
			return nil
		}
		if wait(ctx, jitter(e.cfg.poll())); ctx.Err() != nil {
			return ctx.Err()
		}
	}
}

// jitter spreads d by a fifth to both sides, so that standbys do not look together.
func jitter(d time.Duration) time.Duration { return d*4/5 + rand.N(d*2/5+1) }

// begin turns a grant into a term. The process may have been frozen between the
// grant and its answer, so the term counts from a heartbeat sent now.
func (e *Elector) begin(ctx context.Context, s session, g grant) (*Term, error) {
	t := e.cfg.newTerm(g, e.cfg.now())
	t.barrier = e.barrier(g)
	if _, err := e.renew(ctx, s, t); err != nil {
		return nil, fmt.Errorf("first heartbeat of term %d: %w", g.epoch, err)
	}
	return t, nil
}

// barrier is until when the former holder may act outside the database, counted
// from when it was last known to live.
func (e *Elector) barrier(g grant) instant {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.looked && e.seen.epoch == g.epoch-1 && e.seen.beat == g.formerBeat {
		return e.signAt.add(e.patience())
	}
	return e.cfg.now().add(e.patience())
}

// endWork removes the former holder's open transactions, which keep the fence.
func (e *Elector) endWork(ctx context.Context, s session, g grant) {
	n, err := s.endWork(ctx, g.formerWorkApp)
	if err != nil {
		e.note(inCampaign, fmt.Errorf("end the former holder's sessions: %w", err))
		return
	}
	e.cfg.Log.Warn("the former holder's work sessions were ended", "former", g.formerInstance, "sessions", n)
}

func (e *Elector) set(s State, t *Term) {
	e.mu.Lock()
	was := e.state
	e.state, e.term = s, t
	close(e.changed)
	e.changed = make(chan struct{})
	e.mu.Unlock()
	if s != was && s != Warming {
		e.cfg.Observe(Observation{State: s})
	}
}

// The places where trouble can be.
const (
	inCampaign = "campaign"
	inWatch    = "watch"
	inBeat     = "beat"
)

// note keeps the trouble of one place, and logs it when it changes, not each
// time it repeats.
func (e *Elector) note(place string, err error) {
	text := ""
	if err != nil {
		text = err.Error()
	}
	e.mu.Lock()
	was := e.trouble[place]
	e.trouble[place] = text
	e.mu.Unlock()
	switch text {
	case was:
	case "":
		e.cfg.Log.Info("lock trouble is over", "in", place, "was", was)
	default:
		e.cfg.Log.Warn("lock trouble", "in", place, "error", text)
	}
}

// troubles returns all present trouble as one text.
func (e *Elector) troubles() string {
	var all []string
	for _, place := range []string{inCampaign, inWatch, inBeat} {
		if text := e.trouble[place]; text != "" && !slices.Contains(all, text) {
			all = append(all, text)
		}
	}
	return strings.Join(all, "; ")
}
