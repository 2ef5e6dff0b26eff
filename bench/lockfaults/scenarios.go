package main

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"

	"kiosk/bench/internal/rig"
)

const ms = time.Millisecond

// scenarios is the whole table.
func scenarios() []scenario {
	list := []scenario{
		{name: "stop", figure: "release to the successor's first commit", wanted: "p50 <= 5 ms, p99 <= 50 ms", times: 200, short: 10,
			limit: limit{p50: 5 * ms, p99: 50 * ms}, alone: true, run: simple(stopRound)},
		{name: "kill", figure: "SIGKILL to the successor's first commit", wanted: "p50 <= 10 ms, p99 <= 50 ms", times: 200, short: 10,
			limit: limit{p50: 10 * ms, p99: 50 * ms}, alone: true, run: simple(killRound)},
		{name: "terminate", figure: "end of the lock's session to the loss being known", wanted: "<= 10 ms, recovers alone", times: 50, short: 5,
			limit: limit{p99: 10 * ms}, alone: true, run: simple(terminateRound)},
		{name: "barrier", figure: "end of the lock's session to its unfinished job being taken on", wanted: "<= stale 3 s + 1 s; 0 overlaps", times: 20, short: 2,
			limit: limit{max: 4 * time.Second}, run: simple(barrierRound)},
		{name: "terminate-in-statement", figure: "end of the lock's session to the successor's first commit",
			wanted: "waits for the open statement; 0 stale commits", times: 20, short: 3, limit: limit{max: 3 * time.Second}, run: simple(lateRound)},
		{name: "restart-fast", figure: "signal to the loss being known", wanted: "<= 50 ms, recovers alone", times: 50, short: 1,
			limit: limit{p99: 50 * ms}, alone: true, run: restarts(syscall.SIGINT)},
		{name: "restart-immediate", figure: "signal to the loss being known", wanted: "<= 50 ms, recovers alone", times: 50,
			limit: limit{p99: 50 * ms}, alone: true, run: restarts(syscall.SIGQUIT)},
		{name: "rolling", figure: "last commit to the successor's first", wanted: "p99 <= 100 ms, 0 takeovers", times: 50, short: 1,
			limit: limit{p99: 100 * ms}, alone: true, run: simple(rollingRound)},
		{name: "freeze", figure: "SIGSTOP in a transaction to the takeover", wanted: "<= stale 3 s + one period 0.5 s; 0 stale, 0 outside effects of the zombie",
			times: 50, short: 2, limit: limit{max: 3500 * ms}, run: simple(freezeRound(nil))},
		{name: "freeze-outside", figure: "SIGSTOP, cut off, to the successor's first commit", wanted: "no step is begun after the wake; <= stale 3 s + 2 s",
			times: 20, short: 1, limit: limit{max: 5 * time.Second}, run: simple(outsideRound)},
		{name: "freeze-defaults", figure: "SIGSTOP in a transaction to the takeover", wanted: "<= stale 10 s + one period 2 s",
			times: 5, limit: limit{max: 12 * time.Second}, run: simple(freezeRound(standard))},
		{name: "ghost", figure: "SIGKILL, first standby frozen, to the next commit", wanted: "<= stale 3 s + 2 s", times: 20, short: 1,
			limit: limit{max: 5 * time.Second}, run: simple(ghostRound)},
	}
	list = append(list, networkScenarios()...)
	list = append(list, healthScenarios()...)
	return append(list, crowdScenarios()...)
}

// simple runs rounds on the common server.
func simple(round func(context.Context, *trial, *arena) error) func(context.Context, *trial) error {
	return func(ctx context.Context, t *trial) error {
		s, err := t.servers.shared(ctx)
		if err != nil {
			return err
		}
		return t.rounds(ctx, s, "", func(ctx context.Context, a *arena) error { return round(ctx, t, a) })
	}
}

// settling is how long after the start of an instance a round begins whose figure
// is a matter of milliseconds, and how long one lives on that was stopped: its start
// and its end take the processor from all others, and from the server.
const settling = 400 * ms

// stopRound stops the holder of three in order. The clock starts when the release
// is in the history: the lock itself is let go a moment later.
func stopRound(ctx context.Context, t *trial, a *arena) error {
	linger := func(s *settings) { s.Linger = settling } // as a program does that finishes its HTTP
	if err := errors.Join(a.ready(ctx, 3, linger), pause(ctx, settling)); err != nil {
		return err
	}
	holder, epoch := a.current()
	from := a.mark()
	before, err := a.lastHistory(ctx)
	if err != nil {
		return err
	}
	holder.terminate()
	first, err := a.firstCommit(ctx, from, epoch)
	if err != nil {
		return err
	}
	released, ok, err := a.find(ctx, before, "released")
	if err != nil || !ok {
		return fmt.Errorf("no release in the history: %w", err)
	}
	t.took(time.Duration(first.At - released.at))
	if err := t.parts(ctx, a, released.at, first); err != nil {
		return err
	}
	return holder.gone(ctx)
}

// few gives the work two connections: each one that ends costs the server two or
// three milliseconds of processor time at the very moment that is measured.
func few(s *settings) { s.Conns = 2 }

func killRound(ctx context.Context, t *trial, a *arena) error {
	if err := errors.Join(a.ready(ctx, 3, few), pause(ctx, settling)); err != nil {
		return err
	}
	holder, epoch := a.current()
	from := a.mark()
	at := holder.kill()
	first, err := a.firstCommit(ctx, from, epoch)
	if err != nil {
		return err
	}
	t.took(time.Duration(first.At - at))
	if err := t.parts(ctx, a, at, first); err != nil {
		return err
	}
	if err := holder.gone(ctx); err != nil || a.pooler == "" {
		return err
	}
	if first.Epoch != epoch+1 {
		return fmt.Errorf("%d grants for one crash", first.Epoch-epoch)
	}
	return a.steady(ctx, time.Second) // nobody else takes what is held again
}

// terminateRound ends the lock's session on the server.
func terminateRound(ctx context.Context, t *trial, a *arena) error {
	if err := a.ready(ctx, 3, longBeats); err != nil {
		return err
	}
	holder, epoch := a.current()
	from := a.mark()
	at := now()
	if _, err := a.admin.Exec(ctx, sqlEndLock, lockName); err != nil {
		return err
	}
	lost, err := a.await(ctx, "the loss", from, func(e *event) bool { return e.Kind == evLost && e.member == holder })
	if err != nil {
		return err
	}
	t.took(time.Duration(lost.At - at))
	if notice := time.Duration(lost.At - at); notice > 300*ms { // on any machine: by its next heartbeat, at the latest
		return fmt.Errorf("the loss was noticed only after %s", notice)
	}
	_, err = a.firstCommit(ctx, from, epoch)
	return err
}

// barrierRound ends the lock's session while a step of a job is under way outside,
// and waits for the successor to take the job on.
func barrierRound(ctx context.Context, t *trial, a *arena) error {
	if err := a.ready(ctx, 3, func(s *settings) { s.Step, s.Steps = 400*ms, 20 }); err != nil {
		return err
	}
	from := a.mark()
	begun, err := a.await(ctx, "a step to begin", from, func(e *event) bool { return e.Kind == evBegin })
	if err != nil {
		return err
	}
	at := now()
	if _, err := a.admin.Exec(ctx, sqlEndLock, lockName); err != nil {
		return err
	}
	again, err := a.await(ctx, "the job to be inherited", from, func(e *event) bool {
		return e.Kind == evBegin && e.Epoch > begun.Epoch && e.ID == begun.ID
	})
	t.took(time.Duration(again.At - at))
	return err
}

// longBeats tells a loss that was heard from one that a heartbeat or a refused
// transaction found.
func longBeats(s *settings) { s.Heartbeat, s.Idle, s.Pace, s.Step = 900*ms, time.Hour, -1, 0 }

// lateRound ends the lock's session while a fenced statement runs on the server.
func lateRound(ctx context.Context, t *trial, a *arena) error {
	if err := a.ready(ctx, 3, nil); err != nil {
		return err
	}
	holder, epoch := a.current()
	from := a.mark()
	if err := holder.order(doLate, 300*ms); err != nil {
		return err
	}
	if _, err := a.await(ctx, "the late statement", from, func(e *event) bool { return e.Kind == evResting && e.member == holder }); err != nil {
		return err
	}
	if err := pause(ctx, 50*ms); err != nil { // it is at the server
		return err
	}
	at := now()
	if _, err := a.admin.Exec(ctx, sqlEndLock, lockName); err != nil {
		return err
	}
	first, err := a.firstCommit(ctx, from, epoch)
	if err != nil {
		return err
	}
	t.took(time.Duration(first.At - at))
	return pause(ctx, 400*ms) // the late statement has ended
}

// restarts ends the whole server and starts it again.
func restarts(how syscall.Signal) func(context.Context, *trial) error {
	return func(ctx context.Context, t *trial) error {
		s, err := t.servers.own(ctx, nil)
		if err != nil {
			return err
		}
		var again []time.Duration
		err = t.rounds(ctx, s, "", func(ctx context.Context, a *arena) error {
			a.restarted = true
			notice, back, err := restartRound(ctx, a, how)
			t.took(notice)
			again = append(again, back)
			return err
		})
		t.notef("ready to the first commit of a new term: %s", spread(again))
		return err
	}
}

// restartRound restarts the server once the campaigns have lasted long enough to
// count as undisturbed: nobody restarts a server twice a second.
func restartRound(ctx context.Context, a *arena, how syscall.Signal) (notice, back time.Duration, err error) {
	if err := errors.Join(a.ready(ctx, 3, few), pause(ctx, 1200*ms)); err != nil {
		return 0, 0, err
	}
	holder, epoch := a.current()
	from := a.mark()
	signalled, up, err := a.srv.restart(ctx, how)
	if err != nil {
		return 0, 0, err
	}
	a.admin.Reset()
	lost, err := a.await(ctx, "the loss", from, func(e *event) bool { return e.Kind == evLost && e.member == holder })
	if err != nil {
		return 0, 0, err
	}
	first, err := a.firstCommit(ctx, from, epoch)
	return time.Duration(lost.At - signalled), time.Duration(first.At - up), err
}

// rollingRound replaces all three instances, one after the other. The new one
// takes its time to start (600 ms stand for 60 s) and must not wait to be ACTIVE.
func rollingRound(ctx context.Context, t *trial, a *arena) error {
	slow := func(s *settings) { s.StartUp = 600 * ms }
	if err := a.ready(ctx, 3, slow); err != nil {
		return err
	}
	before, err := a.lastHistory(ctx)
	if err != nil {
		return err
	}
	for _, old := range a.alive() {
		if err := t.replaceOne(ctx, a, old, slow); err != nil {
			return err
		}
	}
	_, taken, err := a.find(ctx, before, "takeover")
	if taken {
		return errors.New("a takeover in a rolling deploy")
	}
	return err
}

func (t *trial) replaceOne(ctx context.Context, a *arena, old *member, change func(*settings)) error {
	if _, err := a.join(ctx, change); err != nil {
		return err
	}
	if err := a.queued(ctx, 3); err != nil {
		return err
	}
	holder, epoch := a.current()
	from := a.mark()
	old.terminate()
	if err := old.gone(ctx); err != nil || old != holder {
		return err
	}
	first, err := a.firstCommit(ctx, from, epoch)
	if err != nil {
		return err
	}
	t.took(time.Duration(first.At - a.lastCommit(epoch)))
	return nil
}

// lastCommit is when the last fenced commit of a term was answered.
func (a *arena) lastCommit(epoch int64) (at int64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for i := range a.events {
		if e := &a.events[i]; e.Kind == evWrite && e.Epoch == epoch && e.Text == outcomeOK {
			at = max(at, e.At)
		}
	}
	return at
}

// freezeRound stops the holder while it idles inside a fenced transaction, lets
// another take over and work, and wakes it.
func freezeRound(change func(*settings)) func(context.Context, *trial, *arena) error {
	return func(ctx context.Context, t *trial, a *arena) error {
		if err := a.ready(ctx, 3, change); err != nil {
			return err
		}
		holder, epoch := a.current()
		from := a.mark()
		before, err := a.lastHistory(ctx)
		if err != nil {
			return err
		}
		at, err := holder.freezeInside(ctx)
		if err != nil {
			return err
		}
		if _, err := a.firstCommit(ctx, from, epoch); err != nil {
			return err
		}
		taken, err := a.history(ctx, before)
		if n := countKind(taken, "takeover"); err != nil || n != 1 {
			return fmt.Errorf("%d takeovers in the history: %w", n, err)
		}
		h, _, err := a.find(ctx, before, "takeover")
		if err != nil {
			return err
		}
		t.took(time.Duration(h.at - at))
		return a.zombie(ctx, holder)
	}
}

// freezeInside stops the member in the middle of a fenced transaction.
func (m *member) freezeInside(ctx context.Context) (int64, error) {
	from := m.arena.mark()
	if err := m.order(doRest, 300*ms); err != nil {
		return 0, err
	}
	if _, err := m.arena.await(ctx, "an open transaction", from, func(e *event) bool { return e.Kind == evResting && e.member == m }); err != nil {
		return 0, err
	}
	return m.freeze(), nil
}

// zombie wakes a former holder while the new one works, and waits until it knows.
func (a *arena) zombie(ctx context.Context, m *member) error {
	from := a.mark()
	if err := pause(ctx, 100*ms); err != nil {
		return err
	}
	m.wake()
	_, err := a.await(ctx, "the zombie to know", from, func(e *event) bool {
		return e.member == m && (e.Kind == evLost || e.Kind == evExit)
	})
	if err != nil {
		return err
	}
	return pause(ctx, 500*ms) // for what it may still try
}

// ghostRound kills the holder while the first in the queue is frozen: it is given
// the lock and does not know.
func ghostRound(ctx context.Context, t *trial, a *arena) error {
	for len(a.alive()) < 3 { // one by one: the queue is first come, first served
		if err := a.ready(ctx, len(a.alive())+1, nil); err != nil {
			return err
		}
	}
	if err := a.age(ctx); err != nil {
		return err
	}
	holder, epoch := a.current()
	from := a.mark()
	ghost, err := a.firstInQueue(ctx)
	if err != nil {
		return err
	}
	ghost.freeze()
	defer ghost.wake()
	at := holder.kill()
	first, err := a.firstCommit(ctx, from, epoch)
	if err != nil {
		return err
	}
	if first.member == ghost {
		return errors.New("the frozen standby worked")
	}
	t.took(time.Duration(first.At - at))
	ghost.wake()
	return pause(ctx, 500*ms)
}

// firstInQueue is the member whose lock session waits longest.
func (a *arena) firstInQueue(ctx context.Context) (*member, error) {
	var name string
	if err := a.admin.QueryRow(ctx, sqlFirstQueued).Scan(&name); err != nil {
		return nil, fmt.Errorf("find the first in the queue: %w", err)
	}
	for _, m := range a.alive() {
		if m.name == name {
			return m, nil
		}
	}
	return nil, fmt.Errorf("%s is first in the queue and unknown", name)
}

// spread renders times in one line.
func spread(times []time.Duration) string {
	p := func(f float64) time.Duration { return rig.Percentile(times, f).Round(100 * time.Microsecond) }
	return fmt.Sprintf("n=%d p50 %s p99 %s max %s", len(times), p(0.5), p(0.99), p(1))
}
