package main

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// cut describes which ways of the holder are interrupted.
type cut struct {
	lock, work bool
	up, down   bool
	session    bool // only the connection that holds the lock
}

func networkScenarios() []scenario {
	const figure = "cut to the successor's first commit"
	const wanted = "the cut one stops first; <= stale 3 s + 2 s"
	partition := func(name string, short int, c cut) scenario {
		return scenario{name: name, figure: figure, wanted: wanted, times: 20, short: short, limit: limit{max: 5 * time.Second},
			run: simple(partitionRound(c))}
	}
	return []scenario{
		partition("cut-lock", 1, cut{lock: true, up: true, down: true}),
		partition("cut-both", 0, cut{lock: true, work: true, up: true, down: true}),
		partition("cut-lock-requests", 0, cut{lock: true, up: true}),
		partition("cut-lock-answers", 0, cut{lock: true, down: true}),
		partition("cut-session", 0, cut{session: true}),
		{name: "cut-work", figure: "cut to the successor's first commit", wanted: "reason idle; <= idle 5 s + 2 s", times: 20,
			limit: limit{max: 7 * time.Second}, run: simple(cutWorkRound)},
		{name: "cut-work-unknown", figure: "length of the cut", wanted: "nobody knows that work waits: no takeover, goes on by itself", times: 5,
			run: simple(cutWorkUnknownRound)},
		{name: "half-close", figure: "server's side closed to the successor's first commit", wanted: "<= 2 s; the old one stops within 0.6 x stale",
			times: 20, short: 1, limit: limit{max: 2 * time.Second}, run: simple(halfCloseRound)},
		{name: "slow-answers", figure: "last heartbeat sent to the inherited job's first step", wanted: "<= stale 6 s + 2 s; the old one has stopped by then",
			times: 10, limit: limit{max: 8 * time.Second}, run: simple(slowAnswersRound)},
		{name: "slow-link", figure: "length", wanted: "round trips of 2.5 s, defaults: no loss, no flap", times: 20,
			run: simple(slowLinkRound(2500*ms, 15*time.Second, standard))},
		{name: "slow-link-3s", figure: "length", wanted: "round trips of 3 s, stale 12 s: no loss, no flap", times: 20,
			run: simple(slowLinkRound(3*time.Second, 18*time.Second, func(s *settings) { standard(s); s.Stale = 12 * time.Second }))},
		{name: "slow-spikes", figure: "length", wanted: "spikes of 3 s, defaults: no loss, no flap", times: 20, run: simple(slowSpikesRound)},
		{name: "reset-others", figure: "length", wanted: "resets of work and watchers: no loss, no flap", times: 20, short: 1, run: simple(resetRound)},
		{name: "late-takeover", figure: "length", wanted: "a takeover that arrives late ends nobody", times: 10, short: 1, run: simple(lateTakeoverRound)},
	}
}

// proxied has a holder behind proxies and two standbys with direct connections.
func (a *arena) proxied(ctx context.Context, change func(*settings)) (*member, int64, error) {
	for _, m := range a.alive() {
		if m.lock == nil {
			continue
		}
		if err := m.leave(ctx); err != nil {
			return nil, 0, err
		}
	}
	if err := a.waitFree(ctx); err != nil {
		return nil, 0, err
	}
	from := a.mark()
	m, err := a.joinVia(ctx, true, change)
	if err != nil {
		return nil, 0, err
	}
	if _, err := a.await(ctx, "the proxied one to work", from, func(e *event) bool {
		return e.member == m && e.Kind == evWrite && e.Text == outcomeOK
	}); err != nil {
		return nil, 0, err
	}
	for range 2 {
		if _, err := a.join(ctx, change); err != nil {
			return nil, 0, err
		}
	}
	if err := a.queued(ctx, 2); err != nil {
		return nil, 0, err
	}
	_, epoch := a.current()
	return m, epoch, a.age(ctx)
}

// waitFree ends all members, so that the next to join is the holder.
func (a *arena) waitFree(ctx context.Context) error {
	for _, m := range a.alive() {
		if err := m.leave(ctx); err != nil {
			return err
		}
	}
	return nil
}

// leave ends the member in order.
func (m *member) leave(ctx context.Context) error {
	m.heal()
	m.wake()
	m.terminate()
	err := m.gone(ctx)
	if m.lock != nil && err == nil {
		m.lock.close()
		m.work.close()
		m.lock, m.work = nil, nil
	}
	return err
}

func (c cut) apply(m *member) {
	up, down := link{cut: c.up}, link{cut: c.down}
	if c.session {
		m.lock.sever()
	}
	if c.lock {
		m.lock.change(up, down)
	}
	if c.work {
		m.work.change(up, down)
	}
}

// partitionRound cuts the holder off: it must stop before anybody follows.
func partitionRound(c cut) func(context.Context, *trial, *arena) error {
	return func(ctx context.Context, t *trial, a *arena) error {
		m, epoch, err := a.proxied(ctx, nil)
		if err != nil {
			return err
		}
		from := a.mark()
		at := now()
		c.apply(m)
		first, err := a.firstCommit(ctx, from, epoch)
		if err != nil {
			return err
		}
		t.took(time.Duration(first.At - at))
		lost, err := a.await(ctx, "the cut one to stop", from, func(e *event) bool {
			return e.member == m && (e.Kind == evLost || e.Kind == evExit)
		})
		if err != nil {
			return err
		}
		if lost.At > first.At {
			return fmt.Errorf("the cut one stopped %s after its successor had begun", time.Duration(lost.At-first.At))
		}
		m.heal()
		return pause(ctx, 300*ms)
	}
}

// cutWorkRound cuts the way of the work only, while it is known elsewhere that work waits.
func cutWorkRound(ctx context.Context, t *trial, a *arena) error {
	direct := fmt.Sprintf("127.0.0.1:%d", a.srv.port)
	m, epoch, err := a.proxied(ctx, func(s *settings) { s.WaitsURL = a.at(direct) })
	if err != nil {
		return err
	}
	from := a.mark()
	at := now()
	cut{work: true, up: true, down: true}.apply(m)
	first, err := a.firstCommit(ctx, from, epoch)
	if err != nil {
		return err
	}
	t.took(time.Duration(first.At - at))
	return a.lostFor(ctx, from, m, "idle")
}

// lostFor waits for the member's loss and compares the reason.
func (a *arena) lostFor(ctx context.Context, from int, m *member, reason string) error {
	lost, err := a.await(ctx, "the loss", from, func(e *event) bool { return e.Kind == evLost && e.member == m })
	if err == nil && !contains(lost.Text, reason) {
		err = fmt.Errorf("lost for %q, not %s", lost.Text, reason)
	}
	return err
}

func cutWorkUnknownRound(ctx context.Context, t *trial, a *arena) error {
	m, _, err := a.proxied(ctx, nil)
	if err != nil {
		return err
	}
	was, at := a.calm(), now()
	cut{work: true, up: true, down: true}.apply(m)
	if err := pause(ctx, 7*time.Second); err != nil {
		return err
	}
	m.heal()
	from := a.mark()
	if _, err := a.await(ctx, "work to go on", from, func(e *event) bool {
		return e.member == m && e.Kind == evWrite && e.Text == outcomeOK
	}); err != nil {
		return err
	}
	t.took(time.Duration(now() - at))
	return a.unchanged(was)
}

// halfCloseRound ends the lock's connection on the server's side: the server
// frees the lock at once, and the holder hears nothing.
func halfCloseRound(ctx context.Context, t *trial, a *arena) error {
	m, epoch, err := a.proxied(ctx, nil)
	if err != nil {
		return err
	}
	from := a.mark()
	at := now()
	m.lock.change(link{}, link{cut: true})
	m.lock.halfClose()
	first, err := a.firstCommit(ctx, from, epoch)
	if err != nil {
		return err
	}
	t.took(time.Duration(first.At - at))
	lost, err := a.await(ctx, "the old one to stop", from, func(e *event) bool { return e.Kind == evLost && e.member == m })
	if err == nil && time.Duration(lost.At-at) > 2*time.Second {
		err = fmt.Errorf("it stopped only after %s", time.Duration(lost.At-at))
	}
	m.heal()
	return err
}

// slowAnswersRound has heartbeats answered later and later, and then no further
// one arrive. A holder may trust itself from when it sent a heartbeat; one that
// counts from the answers goes on until others have taken over. It works outside
// the database only, so that no fence tells it.
func slowAnswersRound(ctx context.Context, t *trial, a *arena) error {
	m, epoch, err := a.proxied(ctx, func(s *settings) {
		s.Pace, s.Step, s.Steps, s.Stale, s.Idle = -1, 20*ms, 2000, 6*time.Second, time.Minute
	})
	if err != nil {
		return err
	}
	from := a.mark()
	if _, err := a.await(ctx, "a job to begin", 0, func(e *event) bool { return e.Kind == evBegin && e.member == m }); err != nil {
		return err
	}
	if err := m.lock.meets(ctx, "singleton_lease SET beat"); err != nil {
		return err
	}
	if err := pause(ctx, 100*ms); err != nil { // it is answered, and the next one will be the first to wait
		return err
	}
	m.lock.change(link{}, link{latency: 2800 * ms})
	for range 2 { // the second is sent when the first is answered
		if err := m.lock.meets(ctx, "singleton_lease SET beat"); err != nil {
			return err
		}
	}
	at := now()
	if err := pause(ctx, 100*ms); err != nil { // it is at the server, and is the last
		return err
	}
	m.lock.change(link{cut: true}, link{latency: 3400 * ms})
	if err := pause(ctx, 3500*ms); err != nil { // its answer has arrived
		return err
	}
	m.lock.change(link{cut: true}, link{cut: true})
	again, err := a.await(ctx, "the job to be inherited", from, func(e *event) bool { return e.Kind == evBegin && e.Epoch > epoch })
	if err != nil {
		return err
	}
	t.took(time.Duration(again.At - at))
	if err := pause(ctx, 1500*ms); err != nil {
		return err
	}
	m.heal()
	return nil
}

// slowLinkRound delays all that the lock's connection says and hears. Two round
// trips must fit into what the holder trusts itself for.
func slowLinkRound(roundTrip, length time.Duration, profile func(*settings)) func(context.Context, *trial, *arena) error {
	return func(ctx context.Context, t *trial, a *arena) error {
		m, _, err := a.proxied(ctx, profile)
		if err != nil {
			return err
		}
		was, at := a.calm(), now()
		m.lock.change(link{latency: roundTrip / 2}, link{latency: roundTrip / 2})
		if err := pause(ctx, length); err != nil {
			return err
		}
		m.heal()
		t.took(time.Duration(now() - at))
		return a.unchanged(was)
	}
}

// slowSpikesRound delays by 3 s for a moment, twice.
func slowSpikesRound(ctx context.Context, t *trial, a *arena) error {
	m, _, err := a.proxied(ctx, standard)
	if err != nil {
		return err
	}
	was, at := a.calm(), now()
	for range 2 {
		m.lock.change(link{cut: true}, link{cut: true})
		if err := pause(ctx, 3*time.Second); err != nil {
			return err
		}
		m.heal()
		if err := pause(ctx, 2500*ms); err != nil {
			return err
		}
	}
	t.took(time.Duration(now() - at))
	return a.unchanged(was)
}

// resetRound breaks the connections of the holder's work and those of a standby,
// again and again.
func resetRound(ctx context.Context, t *trial, a *arena) error {
	m, _, err := a.proxied(ctx, nil)
	if err != nil {
		return err
	}
	standby, err := a.joinVia(ctx, true, nil)
	if err != nil {
		return err
	}
	was, at := a.calm(), now()
	for range 10 {
		m.work.reset()
		standby.lock.reset()
		if err := pause(ctx, 300*ms); err != nil {
			return err
		}
	}
	from := a.mark()
	if _, err := a.await(ctx, "work to go on", from, func(e *event) bool {
		return e.member == m && e.Kind == evWrite && e.Text == outcomeOK
	}); err != nil {
		return err
	}
	t.took(time.Duration(now() - at))
	return a.unchanged(was)
}

// lateTakeoverRound holds up a standby's takeover on its way to the server until
// the stale holder is gone and another works: it must end nobody.
func lateTakeoverRound(ctx context.Context, t *trial, a *arena) error {
	if err := a.waitFree(ctx); err != nil {
		return err
	}
	if err := a.ready(ctx, 1, nil); err != nil {
		return err
	}
	holder, epoch := a.current()
	late, err := a.joinVia(ctx, true, nil)
	if err != nil {
		return err
	}
	late.lock.delay("pg_terminate_backend(pid) FROM target", 2*time.Second)
	from := a.mark()
	at := holder.freeze()
	if err := late.lock.met(ctx); err != nil {
		return err
	}
	holder.wake()
	if _, err := a.firstCommit(ctx, from, epoch); err != nil {
		return err
	}
	if _, err := a.await(ctx, "the stale one to know", from, func(e *event) bool { return e.Kind == evLost && e.member == holder }); err != nil {
		return err
	}
	was := a.calm()
	if err := pause(ctx, 2500*ms); err != nil { // the takeover has arrived
		return err
	}
	t.took(time.Duration(now() - at))
	return a.unchanged(was)
}

// outsideRound freezes a holder that acts outside the database only, and cannot
// hear of the end of its session when it wakes: its own clock must stop it.
func outsideRound(ctx context.Context, t *trial, a *arena) error {
	m, epoch, err := a.proxied(ctx, func(s *settings) { s.Actors, s.Step, s.Steps = 32, 20*ms, 2000 })
	if err != nil {
		return err
	}
	from := a.mark()
	cut{lock: true, up: true, down: true}.apply(m)
	at := m.freeze()
	first, err := a.firstCommit(ctx, from, epoch)
	if err != nil {
		return err
	}
	t.took(time.Duration(first.At - at))
	if err := a.zombie(ctx, m); err != nil {
		return err
	}
	m.heal()
	return nil
}

// lateGrantRound holds up a standby's request for the lease until another has it.
func lateGrantRound(ctx context.Context, t *trial, a *arena) error {
	if err := a.waitFree(ctx); err != nil {
		return err
	}
	if err := a.ready(ctx, 1, nil); err != nil {
		return err
	}
	holder, epoch := a.current()
	patient := func(s *settings) { s.Stale = 3700 * ms } // asks after the late one, and is served before it
	if _, err := a.join(ctx, patient); err != nil {
		return err
	}
	late, err := a.joinVia(ctx, true, nil)
	if err != nil {
		return err
	}
	late.lock.delay("FROM singleton_grant", 1500*ms)
	if err := a.age(ctx); err != nil {
		return err
	}
	from := a.mark()
	at := holder.kill()
	first, err := a.firstCommit(ctx, from, epoch)
	if err != nil {
		return err
	}
	t.took(time.Duration(first.At - at))
	if first.member == late {
		return errors.New("the late one came first")
	}
	return a.steady(ctx, 2500*ms) // the late request has arrived
}
