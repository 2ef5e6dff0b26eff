package singleton

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
)

// link is one of the ways from a host to the server. They can be cut apart.
type link int

const (
	linkLock link = iota
	linkWatch
	linkWork
	links
)

var errDead = errors.New("the process is dead")

// host is one process on one machine: the real Elector, the simulated rest.
type host struct {
	world   *simWorld
	name    string
	rate    float64 // of its clock
	elector *Elector
	stop    context.CancelFunc
	done    chan struct{} // closed when Run has returned
	dead    chan struct{} // closed when the process died
	die     sync.Once

	mu     sync.Mutex
	paused chan struct{}        // not nil while the process is frozen; closed when it goes on
	cut    [links]chan struct{} // the same, for links
	pauses int                  // so far
	slow   time.Duration        // longest extra time of a message
	late   time.Duration        // extra time of every answer
	mute   bool                 // links are cut one way: it hears and is not heard
	hung   hang
	aimed  time.Duration // the next transaction freezes the process for so long
	reset  [links]bool   // the next answer on the link is lost together with its connection

}

// hang is a way in which work stops to do anything.
type hang int

const (
	works    hang = iota
	hangs         // until it is told to stop
	stubborn      // whatever it is told
)

func (h *host) now() instant {
	return instant(float64(time.Since(h.world.began)) * h.rate)
}

// gate holds a frozen process where it is.
func (h *host) gate() {
	for {
		h.mu.Lock()
		paused := h.paused
		h.mu.Unlock()
		if paused == nil {
			return
		}
		select {
		case <-paused:
		case <-h.dead:
			return
		}
	}
}

func (h *host) freeze() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.paused == nil {
		h.paused = make(chan struct{})
		h.pauses++
	}
}

func (h *host) resume() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.paused != nil {
		close(h.paused)
		h.paused = nil
	}
}

// sever cuts links. A server that hears nothing for 1.2 x the stale time ends
// the sessions; a frozen process's kernel still answers, so it has no such limit.
func (h *host) sever(which ...link) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, l := range which {
		if h.cut[l] != nil {
			continue
		}
		healed := make(chan struct{})
		h.cut[l] = healed
		time.AfterFunc(simStale*12/10, func() {
			select {
			case <-healed:
			default:
				h.world.server.endOf(h, l)
			}
		})
	}
}

func (h *host) heal() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for l, healed := range h.cut {
		if healed != nil {
			close(healed)
			h.cut[l] = nil
		}
	}
	h.slow, h.late, h.hung, h.aimed, h.reset, h.mute = 0, 0, works, 0, [links]bool{}, false
}

// kill ends the process. quiet means that the server is not told: the machine
// has lost its power.
func (h *host) kill(quiet bool) {
	h.die.Do(func() {
		close(h.dead)
		h.stop()
		all := func() { h.world.server.endOf(h, linkLock, linkWatch, linkWork) }
		if quiet {
			time.AfterFunc(simStale*12/10, all)
			return
		}
		all()
	})
}

func (h *host) isDead() bool {
	select {
	case <-h.dead:
		return true
	default:
		return false
	}
}

// after calls f after a while. Without one it uses no timer: under the race
// detector, those that fire at once can crash a bubble of Go 1.26.
func after(d time.Duration, f func()) {
	if d <= 0 {
		go f()
		return
	}
	time.AfterFunc(d, f)
}

// soon is closed after a while.
func soon(d time.Duration) <-chan struct{} {
	passed := make(chan struct{})
	if d <= 0 {
		close(passed)
		return passed
	}
	time.AfterFunc(d, func() { close(passed) })
	return passed
}

// pass takes as long as a message does. It returns false when given up.
func (h *host) pass(l link, given, up <-chan struct{}) bool {
	for first := true; ; first = false {
		h.mu.Lock()
		var healed <-chan struct{} = h.cut[l]
		slow := h.slow
		h.mu.Unlock()
		if healed == nil && !first {
			return true
		}
		if healed == nil {
			healed = soon(h.world.latency() + rand.N(slow+1))
		}
		select {
		case <-healed:
		case <-given:
			return false
		case <-up:
			return false
		}
	}
}

// hear takes as long as an answer does, and returns false when given up.
func (h *host) hear(l link, given, up <-chan struct{}) bool {
	h.mu.Lock()
	late := h.late
	h.mu.Unlock()
	select {
	case <-soon(late):
	case <-given:
		return false
	}
	h.mu.Lock()
	mute := h.mute
	h.mu.Unlock()
	return mute || h.pass(l, given, up)
}

// resets says whether the answer that just came is lost, with its connection.
func (h *host) resets(l link) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	was := h.reset[l]
	h.reset[l] = false
	return was
}

// inTx is a place in the middle of a transaction, where freezing is worst.
func (h *host) inTx() {
	h.mu.Lock()
	aimed := h.aimed
	h.aimed = 0
	h.mu.Unlock()
	if aimed > 0 {
		h.freeze()
		time.AfterFunc(aimed, h.resume)
	}
	h.gate()
}

func (h *host) state() (hung hang, pauses int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.hung, h.pauses
}

// work is what a holder does: it claims an act in a fenced transaction, then
// acts outside, over and over.
func (h *host) work(ctx context.Context, t *Term) error {
	var beside sync.WaitGroup
	defer beside.Wait()
	beside.Go(func() { h.settle(ctx, t) })
	for ctx.Err() == nil && !h.isDead() {
		if hung, _ := h.state(); hung != works {
			h.hang(ctx, hung)
			continue
		}
		err := t.InTx(ctx, h, func(pgx.Tx) error {
			h.inTx()
			return nil
		})
		if err == nil {
			t.Progress()
			for n := 1 + rand.N(10); n > 0 && ctx.Err() == nil; n-- { // a batch is claimed at once
				h.act(t)
			}
		}
		h.pause(ctx, rand.N(400*time.Millisecond))
	}
	return nil
}

func (h *host) hang(ctx context.Context, how hang) {
	for how == stubborn && !h.isDead() {
		h.pause(context.Background(), time.Second)
		how, _ = h.state()
	}
	h.pause(ctx, time.Second)
}

func (h *host) pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	case <-h.dead:
	}
	h.gate()
}

// settle waits for the barrier. From then on nobody of before may act.
func (h *host) settle(ctx context.Context, t *Term) {
	for t.Barrier() > 0 && !h.world.broken.noBarrier {
		if h.pause(ctx, t.Barrier()); ctx.Err() != nil || h.isDead() {
			return
		}
	}
	if h.gate(); t.Check() == nil && !h.isDead() {
		h.world.oracle.settled(t)
	}
}

// act is an effect outside the database: it takes up to a second and, when the
// term ends, almost the grace to notice.
func (h *host) act(t *Term) {
	if h.gate(); h.isDead() || t.Check() != nil {
		return
	}
	_, pauses := h.state()
	done := h.world.oracle.acts(t, func() bool {
		_, now := h.state()
		return now != pauses || h.isDead()
	})
	defer done()
	if h.pause(t.Context(), rand.N(time.Second)); t.Context().Err() != nil {
		h.pause(context.Background(), rand.N(h.elector.cfg.grace()*9/10))
	}
}

// trustFromReply is the mutant whose deadline counts from the reply: it is called
// when a heartbeat was acknowledged.
func (h *host) trustFromReply(o Observation) {
	h.elector.mu.Lock()
	t := h.elector.term
	h.elector.mu.Unlock()
	if o.Beat > 0 && t != nil {
		t.extend(h.now(), trust(simStale))
	}
}
