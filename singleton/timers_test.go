package singleton

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// betweenBeats is a while after which no heartbeat is just under way.
const betweenBeats = time.Minute + 100*time.Millisecond

// timed runs a test in a world where messages take no time and time jumps.
func timed(t *testing.T, test func(t *testing.T, w *simWorld)) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newSimWorld(t, 0, mutants{})
		w.exact = true
		defer w.leave(t)
		test(t, w)
	})
}

func (w *simWorld) leave(t *testing.T) {
	for _, h := range w.all {
		h.heal()
		h.resume()
		h.stop()
		<-h.done
	}
	time.Sleep(2 * simStale) // the server forgets its sessions
	w.oracle.mu.Lock()
	defer w.oracle.mu.Unlock()
	for _, v := range w.oracle.violations {
		t.Error(v)
	}
}

// join starts a host that does nothing in its terms but be told to stop.
func (w *simWorld) join(name string, rate float64, change func(*Config)) *host {
	h := w.newHost(name)
	h.rate = rate
	h.start(func(ctx context.Context, _ *Term) error { <-ctx.Done(); return nil }, change)
	w.all = append(w.all, h)
	return h
}

// reaches waits for a state and returns when it came.
func (h *host) reaches(s State) time.Time {
	ctx, cancel := context.WithTimeout(context.Background(), time.Hour)
	defer cancel()
	if err := h.elector.WaitState(ctx, s); err != nil {
		h.world.t.Fatal(err)
	}
	return time.Now()
}

func (h *host) term() *Term {
	h.elector.mu.Lock()
	defer h.elector.mu.Unlock()
	return h.elector.term
}

// seen is what the server has seen so far.
func (d *simServer) seen() (beats []time.Time, takeovers int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.beats), len(d.takeovers)
}

func (d *simServer) lastBeat() time.Time {
	beats, _ := d.seen()
	return beats[len(beats)-1]
}

func about(t *testing.T, what string, got, want, slack time.Duration) {
	t.Helper()
	if got < want || got > want+slack {
		t.Fatalf("%s after %s, want %s and at most %s more", what, got, want, slack)
	}
}

func TestTimers_HeartbeatsComeExactlyAtTheirPeriod(t *testing.T) {
	timed(t, func(t *testing.T, w *simWorld) {
		w.join("a", 1, nil).reaches(Active)
		time.Sleep(betweenBeats)
		beats, _ := w.server.seen()
		for i := range beats[1:] {
			if d := beats[i+1].Sub(beats[i]); d != simHeartbeat {
				t.Fatalf("beat %d came %s after the one before", i+1, d)
			}
		}
		if len(beats) != 31 {
			t.Fatalf("%d beats in a minute", len(beats))
		}
	})
}

// The reply of the last heartbeat took 3 s. They do not count.
func TestTimers_TheDeadlineCountsFromTheSending(t *testing.T) {
	timed(t, func(t *testing.T, w *simWorld) {
		a := w.join("a", 1, nil)
		a.reaches(Active)
		term := a.term()
		a.mu.Lock()
		a.late = 3 * time.Second
		a.mu.Unlock()
		sent := w.server.lastBeat()
		for w.server.lastBeat().Equal(sent) {
			time.Sleep(time.Millisecond)
		}
		sent = w.server.lastBeat()
		time.Sleep(3*time.Second + simHeartbeat/4)
		a.sever(linkLock, linkWatch)
		time.Sleep(time.Until(sent.Add(trust(simStale) - time.Millisecond)))
		if err := term.Check(); err != nil {
			t.Fatalf("before the deadline: %v", err)
		}
		time.Sleep(time.Millisecond)
		if err := term.Check(); !errors.Is(err, ErrLost) {
			t.Fatalf("at the deadline: %v", err)
		}
		about(t, "demoting", a.reaches(Demoting).Sub(sent), trust(simStale), time.Millisecond)
	})
}

func TestTimers_AHolderWhoseWorkHangsGivesUpAtItsShareOfTheIdleTime(t *testing.T) {
	timed(t, func(t *testing.T, w *simWorld) {
		a := w.join("a", 1, func(c *Config) { c.Waiting = func(context.Context) (bool, error) { return true, nil } })
		a.reaches(Active)
		term := a.term()
		time.Sleep(betweenBeats)
		term.Progress()
		last := time.Now()
		a.reaches(Demoting)
		about(t, "gave up", time.Since(last), trust(2*time.Minute), simHeartbeat)
		if cause := context.Cause(term.Context()); !errors.Is(cause, ErrIdle) {
			t.Fatalf("cause %v", cause)
		}
	})
}

// A watcher whose clock is fast takes over early, one whose clock is slow late.
func TestTimers_TakeoverComesAtTheStaleTimeOfTheWatchersClock(t *testing.T) {
	for name, rate := range map[string]float64{"slow": 0.95, "true": 1, "fast": 1.05} {
		t.Run(name, func(t *testing.T) {
			timed(t, func(t *testing.T, w *simWorld) {
				a := w.join("a", 1, nil)
				a.reaches(Active)
				b := w.join("b", rate, nil)
				time.Sleep(betweenBeats)
				a.freeze()
				last := w.server.lastBeat()
				about(t, "took over", b.reaches(Active).Sub(last), time.Duration(float64(simStale)/rate), 2*b.elector.cfg.poll())
				if _, n := w.server.seen(); n != 1 {
					t.Fatalf("%d takeovers", n)
				}
			})
		})
	}
}

// Two instances of a deploy that changes the timers: the holder trusts itself for
// longer than the newcomer would wait, and says so.
func TestTimers_AHolderOfLongerTimersIsLeftAloneForAsLong(t *testing.T) {
	timed(t, func(t *testing.T, w *simWorld) {
		const long = 3 * simStale
		a := w.join("a", 1, func(c *Config) { c.Heartbeat, c.StaleHeartbeat = 3*simHeartbeat, long })
		a.reaches(Active)
		b := w.join("b", 1, nil)
		time.Sleep(4 * simStale) // many periods of the newcomer
		a.freeze()
		last := w.server.lastBeat()
		about(t, "took over", b.reaches(Active).Sub(last), long, 2*b.elector.cfg.poll())
		if barrier := b.elector.Status().Barrier; barrier > 2*b.elector.cfg.poll() {
			t.Fatalf("the former holder is waited for %s more, though it has trusted itself for long enough", barrier)
		}
		if _, n := w.server.seen(); n != 1 {
			t.Fatalf("%d takeovers", n)
		}
	})
}

// Work that ignores everything has no say: the process ends before anybody may
// take over, though the loss cannot be recorded.
func TestTimers_TheProcessEndsBeforeTheStaleTime(t *testing.T) {
	for _, stale := range []time.Duration{3 * time.Second, simStale} {
		t.Run(stale.String(), func(t *testing.T) {
			timed(t, func(t *testing.T, w *simWorld) {
				a := w.newHost("a")
				a.start(func(context.Context, *Term) error { <-a.dead; return nil }, func(c *Config) { c.StaleHeartbeat, c.Heartbeat = stale, stale/5 })
				w.all = append(w.all, a)
				a.reaches(Active)
				time.Sleep(betweenBeats)
				last := w.server.lastBeat()
				a.sever(linkLock, linkWatch, linkWork)
				<-a.dead
				about(t, "ended", time.Since(last), trust(stale), stale*3/10)
			})
		})
	}
}

// The bot that Kiosk replaces let a holder that was starting be killed, over and
// over: its heartbeat of 15 s was judged after 30 s, and a start took 60 s.
func TestTimers_TheOldBotsKillLoop(t *testing.T) {
	t.Parallel()
	if err := CheckTimers(15*time.Second, 30*time.Second, time.Minute); !errors.Is(err, ErrTimers) {
		t.Fatalf("err = %v, want ErrTimers", err)
	}
	for name, warm := range map[string]time.Duration{"its start": time.Minute, "a start longer than any limit": 10 * time.Minute} {
		t.Run(name, func(t *testing.T) {
			timed(t, func(t *testing.T, w *simWorld) {
				old := func(c *Config) {
					c.Heartbeat, c.StaleHeartbeat, c.StaleIdle = 15*time.Second, time.Minute, 2*time.Minute
					c.Waiting = func(context.Context) (bool, error) { return true, nil }
					c.Warm = func(ctx context.Context, t *Term) error { wait(ctx, warm); t.Progress(); return nil }
				}
				a := w.join("a", 0.96, old)
				a.reaches(Warming)
				w.join("b", 1.04, old)
				w.join("c", 1, old)
				about(t, "ACTIVE", a.reaches(Active).Sub(w.began), warm, time.Second)
				time.Sleep(betweenBeats)
				if _, n := w.server.seen(); w.server.read().epoch != 1 || n != 0 {
					t.Fatalf("%d terms, %d takeovers", w.server.read().epoch, n)
				}
			})
		})
	}
}
