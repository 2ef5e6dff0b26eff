package singleton

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// The simulation runs the real Elector, Term and fence check in processes that
// share a simulated database, under a clock that jumps to the next event. Every
// seed is a schedule of faults; after it the world heals, and has to recover.

const (
	simHeartbeat = 2 * time.Second
	simStale     = 10 * time.Second
	simIdle      = 25 * time.Second
	simWarm      = 2 * time.Second
	simLate      = 3500 * time.Millisecond // an answer that is still in time
	simHosts     = 3
	simFaults    = 12
)

type simWorld struct {
	t      *testing.T
	dice   *dice
	mode   Mode
	broken mutants
	began  time.Time
	server *simServer
	oracle *oracle
	exact  bool          // messages take no time
	list   []fault       // that may happen
	gap    time.Duration // the longest time between two of them
	lasts  atomic.Int64  // how many are not over

	mu     sync.Mutex
	hosts  []*host
	all    []*host // with those that died
	number int
}

// simulate runs one seed and returns what the oracle saw.
func simulate(t *testing.T, seed uint64, broken mutants, only ...string) (o *oracle) {
	synctest.Test(t, func(t *testing.T) {
		w := newSimWorld(t, seed, broken)
		w.list = slices.DeleteFunc(faults(), func(f fault) bool { return len(only) > 0 && !slices.Contains(only, f.name) })
		w.gap = 15 * time.Second
		if len(only) > 0 {
			w.gap = 6 * time.Second
		}
		if seed%4 == 3 {
			w.mode = Lease
		}
		for i := range simHosts {
			w.hosts = append(w.hosts, nil)
			w.begin(i)
		}
		w.run()
		o = w.oracle
	})
	return o
}

// latency is how long a message takes on a healthy link.
func (w *simWorld) latency() time.Duration {
	if w.exact {
		return 0
	}
	return 200*time.Microsecond + rand.N(time.Millisecond)
}

func newSimWorld(t *testing.T, seed uint64, broken mutants) *simWorld {
	o := newOracle()
	return &simWorld{
		t: t, dice: &dice{rnd: rand.New(rand.NewPCG(seed, 0))}, mode: Session, broken: broken,
		began: time.Now(), oracle: o, server: newSimServer(o, broken),
	}
}

func (w *simWorld) run() {
	w.oracle.add(func(c *counts) { c.Seeds++ })
	for range simFaults {
		time.Sleep(w.dice.upTo(w.gap))
		w.fault()
	}
	for w.lasts.Load() > 0 { // no WaitGroup: one may begin when the last is over
		time.Sleep(10 * time.Millisecond)
	}
	w.oracle.tellf("all is healed")
	w.server.recover()
	w.recovers()
	w.staysCalm()
	w.stops()
}

// dice decide what a seed means. Goroutines share them.
type dice struct {
	mu  sync.Mutex
	rnd *rand.Rand
}

func (d *dice) below(n int) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.rnd.IntN(n)
}

func (d *dice) upTo(most time.Duration) time.Duration { return time.Duration(d.below(int(most))) }

func (d *dice) share() float64 { return float64(d.below(1000)) / 1000 }

// begin starts a process in place of host i.
func (w *simWorld) begin(i int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.number++
	h := w.newHost(fmt.Sprintf("%c%d", 'a'+i, w.number))
	h.rate = 0.955 + 0.09*w.dice.share()
	if w.broken.wildClocks {
		h.rate = 0.5 + 2*w.dice.share()
	}
	warm := w.dice.upTo(simWarm)
	h.start(h.work, func(c *Config) {
		c.StaleIdle = simIdle
		c.Waiting = func(context.Context) (bool, error) { return true, nil }
		c.Warm = func(ctx context.Context, _ *Term) error { h.pause(ctx, warm); return nil }
		if w.broken.fromReply {
			c.Observe = h.trustFromReply
		}
	})
	w.hosts[i] = h
	w.all = append(w.all, h)
}

func (w *simWorld) newHost(name string) *host {
	return &host{world: w, name: name, rate: 1, dead: make(chan struct{}), done: make(chan struct{})}
}

// start runs a host's elector.
func (h *host) start(work Work, change func(*Config)) {
	cfg := Config{
		Name: "lock", URL: "simulated", Instance: h.name, WorkApplicationName: h.name,
		Heartbeat: simHeartbeat, StaleHeartbeat: simStale,
		Exit: func(int) { h.exits() }, now: h.now, store: h,
	}
	if change != nil {
		change(&cfg)
	}
	e, err := New(cfg)
	if err != nil {
		h.world.t.Fatal(err)
	}
	h.elector = e
	ctx, stop := context.WithCancel(context.Background())
	h.stop = stop
	go func() {
		defer close(h.done)
		if err := e.Run(ctx, work); err != nil {
			h.world.oracle.mu.Lock()
			defer h.world.oracle.mu.Unlock()
			h.world.oracle.violatedf("%s: Run returned %v", h.name, err)
		}
	}()
}

// exits is the end of a process whose work ignores everything. Its supervisor
// starts it again.
func (h *host) exits() {
	h.gate()
	h.world.oracle.add(func(c *counts) { c.Exits++ })
	h.kill(false)
	h.world.replaceLater(h, time.Second)
}

// later undoes a fault.
func (w *simWorld) later(after time.Duration, undo func()) {
	w.lasts.Add(1)
	time.AfterFunc(after, func() {
		defer w.lasts.Add(-1)
		undo()
	})
}

func (w *simWorld) holder() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i, h := range w.hosts {
		if h.elector.Status().State == Active && !h.isDead() {
			return i
		}
	}
	return w.dice.below(simHosts)
}

// fault chooses one, and whom it hits: mostly the holder.
func (w *simWorld) fault() {
	i := w.dice.below(simHosts)
	if w.dice.below(3) > 0 {
		i = w.holder()
	}
	w.mu.Lock()
	h := w.hosts[i]
	w.mu.Unlock()
	f := w.list[w.dice.below(len(w.list))]
	lasts := time.Second + w.dice.upTo(29*time.Second)
	w.oracle.tellf("%s %s, %s", h.name, f.name, lasts.Round(time.Millisecond))
	w.oracle.add(func(c *counts) { c.Faults++ })
	f.happens(w, h, lasts)
}

type fault struct {
	name    string
	happens func(w *simWorld, h *host, lasts time.Duration)
}

// faults are all that can happen to a host, or to the database.
func faults() []fault {
	cut := func(which ...link) func(*simWorld, *host, time.Duration) {
		return func(w *simWorld, h *host, lasts time.Duration) {
			h.sever(which...)
			w.later(lasts, h.heal)
		}
	}
	set := func(change func(h *host)) func(*simWorld, *host, time.Duration) {
		return func(w *simWorld, h *host, lasts time.Duration) {
			h.mu.Lock()
			change(h)
			h.mu.Unlock()
			w.later(lasts, h.heal)
		}
	}
	return []fault{
		{"is killed", func(w *simWorld, h *host, lasts time.Duration) { w.killed(h, lasts, false) }},
		{"loses power", func(w *simWorld, h *host, lasts time.Duration) { w.killed(h, lasts, true) }},
		{"is restarted", func(w *simWorld, h *host, _ time.Duration) { w.restarted(h) }},
		{"is frozen", func(w *simWorld, h *host, lasts time.Duration) {
			h.freeze()
			w.later(lasts, h.resume)
		}},
		{"is frozen in its next transaction", func(w *simWorld, h *host, lasts time.Duration) {
			h.mu.Lock()
			h.aimed = lasts
			h.mu.Unlock()
			w.later(lasts+2*time.Second, func() { h.heal(); h.resume() })
		}},
		{"loses the lock's link", cut(linkLock)},
		{"loses the work's link", cut(linkWork)},
		{"loses all links", cut(linkLock, linkWatch, linkWork)},
		{"loses the lock's link, and its session at once", func(w *simWorld, h *host, lasts time.Duration) {
			cut(linkLock, linkWatch)(w, h, lasts)
			w.server.endOf(h, linkLock)
		}},
		{"loses all links, and its session at once", func(w *simWorld, h *host, lasts time.Duration) {
			cut(linkLock, linkWatch, linkWork)(w, h, lasts)
			w.server.endOf(h, linkLock)
		}},
		{"has a slow network", set(func(h *host) { h.slow = 1500 * time.Millisecond })},
		{"hears every answer late", set(func(h *host) { h.late = simLate })},
		{"hears late, and is not heard", func(w *simWorld, h *host, lasts time.Duration) {
			cut(linkLock, linkWatch)(w, h, lasts)
			h.mu.Lock()
			h.mute, h.late = true, simLate
			h.mu.Unlock()
		}},
		{"loses an answer with its connection", set(func(h *host) { h.reset[linkLock] = true })},
		{"loses the answer of a COMMIT", set(func(h *host) { h.reset[linkWork] = true })},
		{"has its session ended", func(w *simWorld, h *host, _ time.Duration) { w.server.endOf(h, linkLock) }},
		{"has work that hangs", set(func(h *host) { h.hung = hangs })},
		{"has work that ignores everything", set(func(h *host) { h.hung = stubborn })},
		{"is asked to step down", func(w *simWorld, _ *host, _ time.Duration) {
			w.server.ask(w.server.read().epoch, "somebody", "")
		}},
		{"and all: the lock is granted twice", func(w *simWorld, _ *host, _ time.Duration) { w.server.grantTwice() }},
		{"and all: the database restarts", func(w *simWorld, _ *host, lasts time.Duration) {
			w.server.fail(false)
			w.later(lasts/2, w.server.recover)
		}},
		{"and all: the database fails over and loses the last term", func(w *simWorld, _ *host, lasts time.Duration) {
			w.server.fail(true)
			w.later(lasts/2, w.server.recover)
		}},
	}
}

func (w *simWorld) killed(h *host, lasts time.Duration, quiet bool) {
	h.kill(quiet)
	w.replaceLater(h, lasts/3)
}

// replaceLater starts a new process in place of one, unless somebody already has.
func (w *simWorld) replaceLater(h *host, after time.Duration) {
	w.later(after, func() {
		w.mu.Lock()
		i := slices.Index(w.hosts, h)
		w.mu.Unlock()
		if i >= 0 {
			w.begin(i)
		}
	})
}

func (w *simWorld) restarted(h *host) {
	h.stop()
	w.lasts.Add(1)
	go func() {
		defer w.lasts.Add(-1)
		<-h.done
		w.replaceLater(h, 100*time.Millisecond)
	}()
}

// active is the host that is the holder, has the newest term and trusts itself.
func (w *simWorld) active() *host {
	w.mu.Lock()
	defer w.mu.Unlock()
	row := w.server.read()
	for _, h := range w.hosts {
		s := h.elector.Status()
		if s.State == Active && row.held() && row.instance == h.name && s.Remaining > 0 {
			return h
		}
	}
	return nil
}

// recovers: within the stale time and two heartbeats somebody is ACTIVE. In lease
// mode the stale time of a dead holder begins when a watcher is back, which may
// pause for 5 s after failures; and a budget of takeovers that is used up keeps
// it waiting, by design.
func (w *simWorld) recovers() {
	healed := time.Now()
	limit := simStale + 2*simHeartbeat
	if w.mode == Lease {
		limit += 5*time.Second + simWarm
	}
	if w.server.usedUp() {
		w.oracle.add(func(c *counts) { c.Damped++ })
		if w.mode == Lease {
			limit += 10 * time.Minute
		}
	}
	for w.active() == nil {
		if time.Sleep(10 * time.Millisecond); time.Since(healed) > limit {
			w.oracle.mu.Lock()
			w.oracle.violatedf("nobody is ACTIVE %s after the last fault", limit)
			w.oracle.mu.Unlock()
			return
		}
	}
	w.oracle.add(func(c *counts) {
		if limit < time.Minute {
			c.Recovery = time.Since(healed)
		}
	})
}

// staysCalm: without faults nothing changes hands any more, and in all there
// were not many more terms than reasons for them.
func (w *simWorld) staysCalm() {
	time.Sleep(2 * simStale) // what the last fault did may only show now: lease mode follows a dead holder after the stale time
	before := w.server.read().epoch
	time.Sleep(30 * time.Second)
	after := w.server.read().epoch
	w.oracle.mu.Lock()
	defer w.oracle.mu.Unlock()
	if after != before {
		w.oracle.violatedf("epoch %d became %d though nothing happened", before, after)
	}
	if w.oracle.Terms > 2*w.oracle.Faults+2 {
		w.oracle.violatedf("%d terms for %d faults", w.oracle.Terms, w.oracle.Faults)
	}
}

// stops: everybody who is told to stop does, in little time. That nothing is
// left behind, synctest checks: it fails a test that leaves goroutines.
func (w *simWorld) stops() {
	told := time.Now()
	for _, h := range w.all {
		h.stop()
	}
	for _, h := range w.all {
		<-h.done
	}
	w.oracle.add(func(c *counts) { c.Stop = time.Since(told) })
	defer time.Sleep(2 * simStale) // the server forgets its sessions
	if took := time.Since(told); took > simStale {
		w.oracle.mu.Lock()
		defer w.oracle.mu.Unlock()
		w.oracle.violatedf("stopping took %s", took)
	}
}

// seeds is how many schedules to run.
func seeds(t *testing.T) uint64 {
	text := os.Getenv("SINGLETON_SEEDS")
	if text == "" {
		return 200
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func (c *counts) sum(d counts) {
	c.Seeds, c.Faults, c.Terms, c.Commits, c.Acts = c.Seeds+d.Seeds, c.Faults+d.Faults, c.Terms+d.Terms, c.Commits+d.Commits, c.Acts+d.Acts
	c.Takeovers, c.Exits, c.Residual, c.Damped = c.Takeovers+d.Takeovers, c.Exits+d.Exits, c.Residual+d.Residual, c.Damped+d.Damped
	c.Lost += d.Lost
	c.Recovery, c.Stop = max(c.Recovery, d.Recovery), max(c.Stop, d.Stop)
}

func TestSimulation_NoScheduleOfFaultsBreaksTheProtocol(t *testing.T) {
	t.Parallel()
	var total counts
	for seed := range seeds(t) {
		o := simulate(t, seed, mutants{})
		total.sum(o.counts)
		if len(o.violations) > 0 {
			t.Errorf("seed %d:\n%s\nstory:\n%s", seed, strings.Join(o.violations, "\n"), strings.Join(o.story, "\n"))
		}
	}
	t.Logf("%+v", total)
}

// An oracle that finds nothing may be blind. Each mutant leaves out one part of
// the protocol, and the faults are aimed at it; a mixed run hides some.
func TestSimulation_EveryMutantIsFound(t *testing.T) {
	t.Parallel()
	const (
		frozen     = "is frozen"
		frozenInTx = "is frozen in its next transaction"
		lockLost   = "loses the lock's link, and its session at once"
		failover   = "and all: the database fails over and loses the last term"
		restart    = "is restarted"
		mute       = "hears late, and is not heard"
	)
	for name, m := range map[string]struct {
		broken mutants
		faults []string
	}{
		"no fence":                          {mutants{noFence: true}, []string{frozenInTx, lockLost}},
		"the check is a plain SELECT":       {mutants{plainSelect: true}, []string{frozenInTx, lockLost}},
		"the bump is a plain UPDATE":        {mutants{plainUpdate: true}, []string{frozenInTx, lockLost}},
		"no pin":                            {mutants{noPin: true}, []string{lockLost, failover}},
		"a takeover without a re-check":     {mutants{blindTakeover: true}, []string{frozen, "has a slow network", "loses all links"}},
		"the deadline counts from a reply":  {mutants{fromReply: true}, []string{mute, "hears every answer late"}},
		"clocks at any rate":                {mutants{wildClocks: true}, []string{frozen, lockLost}},
		"no barrier":                        {mutants{noBarrier: true}, []string{lockLost}},
		"the end before the last forgotten": {mutants{forgetful: true}, []string{lockLost, restart}},
		"watchers tell terms by epoch":      {mutants{byEpoch: true}, []string{failover, frozen}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for seed := range uint64(5000) {
				if o := simulate(t, seed, m.broken, m.faults...); len(o.violations) > 0 {
					t.Logf("found with seed %d: %s", seed, strings.TrimSpace(o.violations[0]))
					return
				}
			}
			t.Error("not found")
		})
	}
}
