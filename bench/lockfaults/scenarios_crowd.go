package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"syscall"
	"time"
)

func crowdScenarios() []scenario {
	return []scenario{
		{name: "standbys-300", figure: "SIGKILL to the next commit, 300 standbys", wanted: "one grant per crash; CREATE INDEX CONCURRENTLY finishes", times: 20,
			alone: true, run: runStandbys},
		{name: "pooler-stop", figure: "release to the successor's first commit, transaction pooler", wanted: "lease mode; <= stale/10 x 1.2 + 0.5 s", times: 20,
			limit: limit{max: 900 * ms}, run: pooled(stopRound)},
		{name: "pooler-kill", figure: "SIGKILL to the successor's first commit", wanted: "lease mode; <= stale 3 s + 2 s", times: 20,
			limit: limit{max: 5 * time.Second}, run: pooled(killRound)},
		{name: "pooler-late-grant", figure: "SIGKILL to the successor's first commit", wanted: "lease mode; a late grant replaces nobody", times: 10,
			limit: limit{max: 5 * time.Second}, run: pooled(lateGrantRound)},
		{name: "pooler-freeze", figure: "SIGSTOP in a transaction to the takeover", wanted: "lease mode; <= stale 3 s + 2 s; 0 stale", times: 20,
			limit: limit{max: 5 * time.Second}, run: pooled(freezeRound(nil))},
		{name: "pooler-hang", figure: "work hangs to the successor's first commit", wanted: "lease mode, reason idle; <= idle 5 s + 2 s", times: 10,
			limit: limit{max: 7 * time.Second}, run: pooled(hangRound)},
		{name: "mixed", figure: "last commit to the next term's first", wanted: "0 stale commits, 0 overlaps beyond the residual", times: 3, run: mixed("", 5*time.Minute)},
		{name: "mixed-pooler", figure: "last commit to the next term's first", wanted: "the same in lease mode", times: 1, run: runMixedPooled},
	}
}

// runStandbys has 300 processes wait, counts what that costs the server, and
// kills holder after holder.
func runStandbys(ctx context.Context, t *trial) error {
	const crowd = 300
	s, err := t.servers.own(ctx, nil, "max_connections=1000", "shared_preload_libraries=pg_stat_statements", "pg_stat_statements.track=top")
	if err != nil {
		return err
	}
	a, err := newArena(ctx, s, "")
	if err != nil {
		return err
	}
	defer t.finish(ctx, a)
	if _, err := a.admin.Exec(ctx, "CREATE EXTENSION pg_stat_statements"); err != nil {
		return err
	}
	quiet := func(s *settings) {
		standard(s)
		s.Step, s.Rest, s.Lazy = 0, 0, true
	}
	if err := a.crowd(ctx, crowd+t.n+1, quiet); err != nil {
		return err
	}
	if err := t.costOfWaiting(ctx, a); err != nil {
		return err
	}
	for range t.n {
		if err := t.crash(ctx, a); err != nil {
			return err
		}
	}
	return nil
}

// crowd starts many workers, some at a time.
func (a *arena) crowd(ctx context.Context, n int, change func(*settings)) error {
	for i := range n {
		if _, err := a.spawn(false, change); err != nil {
			return err
		}
		if i%20 == 19 {
			if err := a.queuedPatiently(ctx, i-1); err != nil {
				return err
			}
		}
	}
	return a.queuedPatiently(ctx, n-1)
}

func (a *arena) queuedPatiently(ctx context.Context, n int) (err error) {
	for range 4 {
		if err = a.queued(ctx, n); err == nil {
			return nil
		}
	}
	return err
}

// costOfWaiting counts statements and dead rows while all wait, and makes an
// index without locking, which waits for every snapshot older than its own.
func (t *trial) costOfWaiting(ctx context.Context, a *arena) error {
	const length = 10 * time.Second
	count := func() (n int64, err error) { err = a.admin.QueryRow(ctx, sqlStatements).Scan(&n); return n, err }
	before, err := count()
	if err != nil {
		return err
	}
	if err := pause(ctx, length); err != nil {
		return err
	}
	after, err := count()
	if err != nil {
		return err
	}
	began := time.Now()
	if _, err := a.admin.Exec(ctx, "CREATE INDEX CONCURRENTLY ON jobs (epoch)"); err != nil {
		return fmt.Errorf("CREATE INDEX CONCURRENTLY: %w", err)
	}
	index := time.Since(began)
	if _, err := a.admin.Exec(ctx, "VACUUM singleton_lease, singleton_fence"); err != nil {
		return err
	}
	var dead int64
	if err := pause(ctx, time.Second); err != nil { // the counters come late
		return err
	}
	if err := a.admin.QueryRow(ctx, sqlDead).Scan(&dead); err != nil {
		return err
	}
	t.notef("%d waiting: %.0f statements/s with the holder's work; CREATE INDEX CONCURRENTLY %s; dead rows of the lock's tables after VACUUM %d",
		len(a.alive())-1, float64(after-before)/length.Seconds(), index.Round(10*ms), dead)
	if dead > 1000 {
		return fmt.Errorf("%d dead rows cannot be removed", dead)
	}
	return nil
}

func (t *trial) crash(ctx context.Context, a *arena) error {
	holder, epoch := a.current()
	from := a.mark()
	at := holder.kill()
	first, err := a.firstCommit(ctx, from, epoch)
	if err != nil {
		return err
	}
	t.took(time.Duration(first.At - at))
	if first.Epoch != epoch+1 {
		return fmt.Errorf("%d grants for one crash", first.Epoch-epoch)
	}
	return pause(ctx, 200*ms)
}

// pooled runs rounds through a pooler in transaction mode. Every worker must have
// found it.
func pooled(round func(context.Context, *trial, *arena) error) func(context.Context, *trial) error {
	return func(ctx context.Context, t *trial) error {
		s, err := t.servers.shared(ctx)
		if err != nil {
			return err
		}
		pooler, stop, err := startPooler(ctx, s)
		if errors.Is(err, errNoPooler) {
			t.skipped = err.Error()
			return nil
		}
		if err != nil {
			return err
		}
		defer stop()
		return t.rounds(ctx, s, pooler, func(ctx context.Context, a *arena) error {
			if err := round(ctx, t, a); err != nil {
				return err
			}
			return a.allLease()
		})
	}
}

// allLease is an error if a worker took the pooler for a direct connection.
func (a *arena) allLease() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	for i := range a.events {
		if e := &a.events[i]; e.Kind == evMode && e.Text != "lease" {
			return fmt.Errorf("%s found mode %q behind a pooler", e.member.name, e.Text)
		}
	}
	return nil
}

func runMixedPooled(ctx context.Context, t *trial) error {
	s, err := t.servers.shared(ctx)
	if err != nil {
		return err
	}
	pooler, stop, err := startPooler(ctx, s)
	if errors.Is(err, errNoPooler) {
		t.skipped = err.Error()
		return nil
	}
	if err != nil {
		return err
	}
	defer stop()
	return mixed(pooler, time.Minute)(ctx, t)
}

// mixed throws faults at four instances for a while, one run for every seed.
func mixed(pooler string, length time.Duration) func(context.Context, *trial) error {
	return func(ctx context.Context, t *trial) error {
		if t.short {
			length = 10 * time.Second
		}
		var all sync.WaitGroup
		for seed := range uint64(t.n) { //nolint:gosec // rounds are few
			all.Go(func() {
				if err := t.storm(ctx, pooler, length, seed+1); err != nil {
					t.failf("seed %d: %s", seed+1, err)
				}
			})
		}
		all.Wait()
		return nil
	}
}

func (t *trial) storm(ctx context.Context, pooler string, length time.Duration, seed uint64) error {
	s, err := t.servers.shared(ctx)
	if err != nil {
		return err
	}
	if pooler == "" { // it is restarted
		if s, err = t.servers.own(ctx, nil); err != nil {
			return err
		}
	}
	a, err := newArena(ctx, s, pooler)
	if err != nil {
		return err
	}
	defer t.finish(ctx, a)
	a.restarted = pooler == ""
	w := &weather{arena: a, dice: rand.New(rand.NewPCG(seed, 4)), counts: map[string]int{}}
	for end := time.Now().Add(length); time.Now().Before(end); {
		if err := w.fault(ctx); err != nil {
			return err
		}
	}
	w.clear()
	for _, gap := range a.gaps() {
		t.took(gap)
	}
	t.notef("seed %d: %d faults %v", seed, w.total(), w.counts)
	return nil
}

// gaps are the times without a commit around every change of term.
func (a *arena) gaps() []time.Duration {
	a.mu.Lock()
	defer a.mu.Unlock()
	var list []time.Duration
	var last event
	for _, e := range a.events {
		if e.Kind != evWrite || e.Text != outcomeOK {
			continue
		}
		if e.Epoch > last.Epoch && last.Epoch > 0 {
			list = append(list, time.Duration(e.At-last.At))
		}
		if e.Epoch >= last.Epoch {
			last = e
		}
	}
	return list
}

// weather is a random sequence of faults. One that lasts is ended a few faults later.
type weather struct {
	arena  *arena
	dice   *rand.Rand
	counts map[string]int
	later  []func()
}

func (w *weather) total() (n int) {
	for _, c := range w.counts {
		n += c
	}
	return n
}

func (w *weather) clear() {
	for _, end := range w.later {
		end()
	}
	w.later = nil
}

// fault has four instances, does one thing to one of them, mostly the holder,
// and waits.
func (w *weather) fault(ctx context.Context) error {
	for len(w.arena.alive()) < 4 {
		if _, err := w.arena.spawn(true, nil); err != nil {
			return err
		}
	}
	_ = w.arena.age(ctx) // the server may be down
	m, _ := w.arena.current()
	if m == nil || !m.p.running() || w.dice.IntN(4) == 0 {
		alive := w.arena.alive()
		m = alive[w.dice.IntN(len(alive))]
	}
	w.strike(ctx, m)
	if len(w.later) > 2 {
		w.later[0]()
		w.later = w.later[1:]
	}
	return pause(ctx, time.Duration(100+w.dice.IntN(1900))*ms)
}

// strike lets one kind of weather happen to the member.
func (w *weather) strike(ctx context.Context, m *member) {
	kinds := []struct {
		name string
		do   func(context.Context, *member)
	}{
		{"kill", w.kill}, {"stop", w.stop}, {"freeze in transaction", w.freezeInside}, {"freeze in transaction", w.freezeInside},
		{"freeze", w.freeze}, {"terminate", w.terminate}, {"terminate in statement", w.terminateInside},
		{"cut", w.cut}, {"cut", w.cut}, {"slow", w.slow}, {"reset", w.reset}, {"restart", w.restart},
	}
	if w.arena.pooler != "" {
		kinds = kinds[:len(kinds)-1] // its server is that of others, too
	}
	k := kinds[w.dice.IntN(len(kinds))]
	w.counts[k.name]++
	k.do(ctx, m)
}

func (w *weather) kill(_ context.Context, m *member) {
	m.wake()
	m.kill()
}

func (w *weather) stop(_ context.Context, m *member) {
	m.wake()
	m.terminate()
}

func (w *weather) freeze(_ context.Context, m *member) {
	m.freeze()
	w.later = append(w.later, m.wake)
}

// freezeInside aims at an open transaction. One that is no holder keeps the order
// until it is.
func (w *weather) freezeInside(ctx context.Context, m *member) {
	_ = m.order(doRest, 300*ms) // a dead one takes no orders
	_ = pause(ctx, 30*ms)       // the run ends with its context
	w.freeze(ctx, m)
}

func (w *weather) terminate(ctx context.Context, _ *member) {
	_, _ = w.arena.admin.Exec(ctx, sqlEndLock, lockName) // the server may be down
}

func (w *weather) terminateInside(ctx context.Context, m *member) {
	_ = m.order(doLate, 400*ms) // see freezeInside
	_ = pause(ctx, 50*ms)       // the same
	w.terminate(ctx, m)
}

func (w *weather) cut(_ context.Context, m *member) {
	c := cut{lock: w.dice.IntN(3) > 0, work: w.dice.IntN(2) > 0, up: w.dice.IntN(3) > 0, down: w.dice.IntN(3) > 0}
	c.apply(m)
	w.later = append(w.later, m.heal)
}

func (w *weather) slow(_ context.Context, m *member) {
	slow := link{latency: time.Duration(w.dice.IntN(1000)) * ms}
	m.lock.change(slow, slow)
	m.work.change(slow, slow)
	w.later = append(w.later, m.heal)
}

func (w *weather) reset(_ context.Context, m *member) {
	m.lock.reset()
	m.work.reset()
}

func (w *weather) restart(ctx context.Context, _ *member) {
	how := []syscall.Signal{syscall.SIGINT, syscall.SIGQUIT}[w.dice.IntN(2)]
	if _, _, err := w.arena.srv.restart(ctx, how); err == nil {
		w.arena.admin.Reset()
	}
}
