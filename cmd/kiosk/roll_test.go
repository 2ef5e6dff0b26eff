package main

import (
	"context"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/time/rate"

	"kiosk/internal/app/apptest"
	"kiosk/internal/pg/pgtest"
)

// remove takes an instance out of the balancer, as platforms do before they stop it.
func (b *balancer) remove(p *process) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.instances = slices.DeleteFunc(b.instances, func(q *process) bool { return q == p })
}

// replace is one step of a rolling deploy: a new instance becomes ready, an old
// one loses its traffic, is told to stop, and ends by itself.
func (f *fire) replace(old *process) {
	f.t.Helper()
	f.join()
	f.b.remove(old)
	if err := old.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		f.t.Fatal(err)
	}
	select {
	case <-old.done:
	case <-time.After(apptest.Patience):
		f.t.Fatal("the old instance did not stop")
	}
	if code := old.cmd.ProcessState.ExitCode(); code != 0 {
		f.t.Errorf("exit code %d", code)
	}
}

// Under load, all three instances are replaced again and again. Nobody takes
// over, nothing is lost or doubled, and every instance ends with code 0.
//
// It does not run in parallel: its load would be at the expense of the others.
func TestServe_RollingDeploysUnderLoad(t *testing.T) {
	deploys := 20
	if testing.Short() {
		deploys = 2
	}
	f := lightFire(t, 8, 0)
	f.join()
	ctx, cancel := context.WithCancel(t.Context())
	var playing sync.WaitGroup
	stop := func() { cancel(); playing.Wait() }
	defer stop()
	pace := rate.NewLimiter(60, 10)
	for _, p := range f.players {
		playing.Go(func() { p.play(ctx, pace, &f.answered) })
	}
	for range deploys {
		enough := f.answered.Load() + round
		until(t, "the load goes on", func() bool { return f.answered.Load() >= enough })
		for _, old := range f.instances[len(f.instances)-3:] {
			f.replace(old)
		}
	}
	stop()
	if err := f.w.Telegram.WaitUpdates(f.w.Context()); err != nil {
		t.Fatal(err)
	}
	f.active().settled(t)
	checkUpdates(t, f.w)
	checkPresses(t, f.w, f.players)
	checkTexts(t, f.w, f.typists(), 0)
	f.checkOrders(0)
	f.checkHistory(deploys)
	f.logWaits()
}

// checkHistory demands that the lock changed hands by releases only.
func (f *fire) checkHistory(deploys int) {
	f.t.Helper()
	var forced, released int
	err := pgtest.Pool(f.t, f.w.Database).QueryRow(f.t.Context(), `SELECT count(*) FILTER (WHERE kind IN ('takeover', 'lost', 'alarm')),
		count(*) FILTER (WHERE kind = 'released') FROM singleton_event`).Scan(&forced, &released)
	if err != nil || forced != 0 || released < deploys {
		f.t.Errorf("%d terms did not end by a release, %d did, want at least %d; %v", forced, released, deploys, err)
	}
	f.t.Logf("%d deploys of 3 instances, %d handovers", deploys, released)
}

// logWaits prints how long people waited for the answers to their presses.
func (f *fire) logWaits() {
	f.t.Helper()
	var waits []time.Duration
	for _, p := range f.players {
		for _, a := range f.w.Telegram.Answers(p.ID) {
			waits = append(waits, a.AnsweredAt.Sub(a.PressedAt))
		}
	}
	slices.Sort(waits)
	n := len(waits)
	f.t.Logf("%d presses; waited for the answer: p50 %s, p99 %s, max %s", n, waits[n/2], waits[n*99/100], waits[n-1])
}
