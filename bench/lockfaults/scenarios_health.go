package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"kiosk/singleton"
)

func healthScenarios() []scenario {
	const healthy = "no takeover of a healthy holder"
	return []scenario{
		{name: "step-down", figure: "request to the successor's first commit", wanted: "p99 <= 50 ms", times: 50, short: 3,
			limit: limit{p99: 50 * ms}, alone: true, run: simple(stepDownRound)},
		{name: "hang", figure: "work hangs to the successor's first commit", wanted: "reason idle; <= idle 5 s", times: 20, short: 1,
			limit: limit{max: 5 * time.Second}, run: simple(hangRound)},
		{name: "hang-watched", figure: "the same, the holder's own watchdog set to 36 s", wanted: "takeover, reason idle; <= idle 5 s + 2 s", times: 20,
			limit: limit{max: 7 * time.Second}, run: simple(hangWatchedRound)},
		{name: "quiet", figure: "length", wanted: "nothing waits: no takeover", times: 10, short: 1, run: simple(quietRound)},
		{name: "flapping", figure: "length", wanted: "three takeovers in 10 minutes, then none", times: 3, run: simple(flappingRound)},
		{name: "frozen-standby", figure: "length", wanted: healthy, times: 10, short: 1, run: simple(frozenStandbyRound)},
		{name: "pool-exhausted", figure: "length", wanted: healthy, times: 10, short: 1, run: simple(exhaustRound)},
		{name: "max-connections", figure: "length", wanted: healthy, times: 10, run: runFull},
		{name: "statement-timeouts", figure: "length", wanted: healthy, times: 10, run: simple(timeoutRound)},
		{name: "clock", figure: "length", wanted: healthy, times: 10, run: runClock},
	}
}

func stepDownRound(ctx context.Context, t *trial, a *arena) error {
	prompt := func(s *settings) { s.Rest = 0 } // the holder's work is not what is measured
	if err := errors.Join(a.ready(ctx, 3, prompt), pause(ctx, settling)); err != nil {
		return err
	}
	_, epoch := a.current()
	from := a.mark()
	at := now()
	if _, err := singleton.StepDown(ctx, a.admin, lockName, "lockfaults", ""); err != nil {
		return err
	}
	first, err := a.firstCommit(ctx, from, epoch)
	t.took(time.Duration(first.At - at))
	return err
}

// hangRound lets the holder's work stop while its heartbeat goes on.
func hangRound(ctx context.Context, t *trial, a *arena) error {
	if err := a.ready(ctx, 3, nil); err != nil {
		return err
	}
	holder, epoch := a.current()
	from := a.mark()
	at := now()
	if err := holder.order(doHang, 0); err != nil {
		return err
	}
	first, err := a.firstCommit(ctx, from, epoch)
	if err != nil {
		return err
	}
	t.took(time.Duration(first.At - at))
	if err := a.lostFor(ctx, from, holder, "idle"); err != nil {
		return err
	}
	return holder.leave(ctx)
}

// hangWatchedRound leaves it to the watchers: the holder's own patience is longer.
func hangWatchedRound(ctx context.Context, t *trial, a *arena) error {
	if err := a.waitFree(ctx); err != nil {
		return err
	}
	if err := a.ready(ctx, 1, func(s *settings) { s.Idle = time.Minute }); err != nil {
		return err
	}
	if err := a.ready(ctx, 3, nil); err != nil {
		return err
	}
	holder, epoch := a.current()
	before, err := a.lastHistory(ctx)
	if err != nil {
		return err
	}
	from := a.mark()
	at := now()
	if err := holder.order(doHang, 0); err != nil {
		return err
	}
	first, err := a.firstCommit(ctx, from, epoch)
	if err != nil {
		return err
	}
	t.took(time.Duration(first.At - at))
	h, ok, err := a.find(ctx, before, "takeover")
	if err == nil && (!ok || !strings.HasPrefix(h.detail, "idle")) {
		err = fmt.Errorf("no takeover for idleness, but %q", h.detail)
	}
	return err
}

// still is steady, and its length the figure of a round.
func (t *trial) still(ctx context.Context, a *arena, d time.Duration) error {
	at := now()
	err := a.steady(ctx, d)
	t.took(time.Duration(now() - at))
	return err
}

// steady waits, and returns an error if the term has changed by then.
func (a *arena) steady(ctx context.Context, d time.Duration) error {
	was := a.calm()
	before, err := a.lastHistory(ctx)
	if err != nil {
		return err
	}
	if err := pause(ctx, d); err != nil {
		return err
	}
	if h, taken, err := a.find(ctx, before, "takeover"); taken || err != nil {
		return errors.Join(fmt.Errorf("takeover: %s", h.detail), err)
	}
	return a.unchanged(was)
}

// quietRound has no work: nobody makes progress, and nobody should.
func quietRound(ctx context.Context, t *trial, a *arena) error {
	if err := a.waitFree(ctx); err != nil {
		return err
	}
	if err := a.ready(ctx, 3, nil); err != nil {
		return err
	}
	if _, err := a.admin.Exec(ctx, sqlSetWaits, false); err != nil {
		return err
	}
	if err := pause(ctx, time.Second); err != nil { // the holder has asked
		return err
	}
	holder, _ := a.current()
	if err := holder.order(doHang, 0); err != nil {
		return err
	}
	if err := t.still(ctx, a, 8*time.Second); err != nil {
		return err
	}
	if err := a.waitFree(ctx); err != nil {
		return err
	}
	_, err := a.admin.Exec(ctx, sqlSetWaits, true)
	return err
}

// flappingRound freezes holder after holder, until the budget is spent.
func flappingRound(ctx context.Context, t *trial, a *arena) error {
	at := now()
	for range 3 {
		if err := a.flap(ctx, true); err != nil {
			return err
		}
	}
	if err := a.flap(ctx, false); err != nil {
		return err
	}
	t.took(time.Duration(now() - at))
	return a.age(ctx)
}

func (a *arena) flap(ctx context.Context, replaced bool) error {
	for len(a.alive()) < 3 {
		if _, err := a.join(ctx, nil); err != nil {
			return err
		}
	}
	if _, err := a.await(ctx, "a first commit", 0, func(e *event) bool { return e.Kind == evWrite }); err != nil {
		return err
	}
	if err := a.queued(ctx, 2); err != nil {
		return err
	}
	holder, epoch := a.current()
	from := a.mark()
	holder.freeze()
	_, err := a.awaitFor(ctx, 5*time.Second, "the next term", from, func(e *event) bool {
		return e.Kind == evWrite && e.Epoch > epoch && e.Text == outcomeOK
	})
	holder.wake()
	switch {
	case replaced && err != nil:
		return err
	case !replaced && err == nil:
		return errors.New("the fourth takeover in ten minutes")
	}
	_, err = a.firstCommit(ctx, from, epoch) // by itself at the latest
	return err
}

func frozenStandbyRound(ctx context.Context, t *trial, a *arena) error {
	if err := a.ready(ctx, 3, nil); err != nil {
		return err
	}
	standby := a.standby()
	standby.freeze()
	if err := t.still(ctx, a, 4*time.Second); err != nil {
		return err
	}
	standby.wake()
	return a.steady(ctx, time.Second)
}

func exhaustRound(ctx context.Context, t *trial, a *arena) error {
	if err := a.ready(ctx, 3, nil); err != nil {
		return err
	}
	holder, _ := a.current()
	if err := holder.order(doExhaust, 8*time.Second); err != nil {
		return err
	}
	if err := t.still(ctx, a, 8*time.Second); err != nil {
		return err
	}
	return a.goesOn(ctx, holder)
}

// goesOn waits for the member's next commit.
func (a *arena) goesOn(ctx context.Context, m *member) error {
	_, err := a.await(ctx, m.name+" to go on", a.mark(), func(e *event) bool {
		return e.member == m && e.Kind == evWrite && e.Text == outcomeOK
	})
	return err
}

// runFull takes all connections that a small server has.
func runFull(ctx context.Context, t *trial) error {
	s, err := t.servers.own(ctx, nil, "max_connections=60")
	if err != nil {
		return err
	}
	return t.rounds(ctx, s, "", func(ctx context.Context, a *arena) error {
		if err := a.ready(ctx, 3, nil); err != nil {
			return err
		}
		var taken []*pgx.Conn
		for len(taken) < 60 {
			c, err := pgx.Connect(ctx, s.url(a.name))
			if err != nil {
				break // full
			}
			defer c.Close(context.WithoutCancel(ctx))
			taken = append(taken, c)
		}
		if err := t.still(ctx, a, 7*time.Second); err != nil {
			return err
		}
		holder, _ := a.current()
		return a.goesOn(ctx, holder)
	})
}

// timeoutRound limits all statements of the database.
func timeoutRound(ctx context.Context, t *trial, a *arena) error {
	if err := a.waitFree(ctx); err != nil {
		return err
	}
	for _, limit := range []string{"statement_timeout = '250ms'", "lock_timeout = '100ms'", "idle_in_transaction_session_timeout = '250ms'", "idle_session_timeout = '1s'"} {
		if _, err := a.admin.Exec(ctx, "ALTER DATABASE "+a.name+" SET "+limit); err != nil {
			return err
		}
	}
	if err := a.ready(ctx, 3, nil); err != nil {
		return err
	}
	holder, _ := a.current()
	if err := holder.order(doLate, time.Second); err != nil {
		return err
	}
	if err := t.still(ctx, a, 7*time.Second); err != nil {
		return err
	}
	return a.goesOn(ctx, holder)
}

// fakeClock is the library that moves a server's wall clock, "" where it is missing.
func fakeClock() string {
	for _, pattern := range []string{"/usr/lib/*/faketime/libfaketimeMT.so.1", "/usr/lib*/faketime/libfaketimeMT.so.1"} {
		if found, err := filepath.Glob(pattern); err == nil && len(found) > 0 {
			return found[0]
		}
	}
	return ""
}

// runClock moves the wall clock of the database by an hour to both sides. To the
// workers that is the same as theirs moved the other way: a Go program reads the
// clock without a library that could lie to it.
func runClock(ctx context.Context, t *trial) error {
	library := fakeClock()
	if library == "" {
		t.skipped = "libfaketime is not installed (apt-get install faketime)"
		return nil
	}
	folder, err := os.MkdirTemp("", "lockfaults-clock-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(folder)
	file := filepath.Join(folder, "offset")
	set := func(offset string) error {
		return os.WriteFile(file, []byte(offset+"\n"), 0o644) //nolint:gosec // the server's account reads it
	}
	if err := errors.Join(os.Chmod(folder, 0o755), set("+0")); err != nil { //nolint:gosec // the same
		return err
	}
	s, err := t.servers.own(ctx, []string{"LD_PRELOAD=" + library, "FAKETIME_TIMESTAMP_FILE=" + file, "FAKETIME_NO_CACHE=1", "DONT_FAKE_MONOTONIC=1"})
	if err != nil {
		return err
	}
	t.notef("the server's clock was moved; for a worker that is its own moved the other way")
	return t.rounds(ctx, s, "", func(ctx context.Context, a *arena) error { return clockRound(ctx, t, a, set) })
}

func clockRound(ctx context.Context, t *trial, a *arena, set func(string) error) error {
	if err := a.ready(ctx, 3, nil); err != nil {
		return err
	}
	before, err := a.clock(ctx)
	if err != nil {
		return err
	}
	at := now()
	for _, offset := range []string{"+3600", "-3600", "+0"} {
		if err := set(offset); err != nil {
			return err
		}
		if err := a.steady(ctx, 4*time.Second); err != nil {
			return fmt.Errorf("clock at %s s: %w", offset, err)
		}
		after, err := a.clock(ctx)
		if moved := after.Sub(before).Abs() > 50*time.Minute; err == nil && moved != (offset != "+0") {
			err = fmt.Errorf("clock at %s s: it was not moved", offset)
		}
		if err != nil {
			return err
		}
	}
	t.took(time.Duration(now() - at))
	return killRoundQuietly(ctx, a)
}

func (a *arena) clock(ctx context.Context) (at time.Time, err error) {
	err = a.admin.QueryRow(ctx, sqlClock).Scan(&at)
	return at, err
}

// killRoundQuietly shows that a dead holder is still followed.
func killRoundQuietly(ctx context.Context, a *arena) error {
	holder, epoch := a.current()
	from := a.mark()
	holder.kill()
	_, err := a.firstCommit(ctx, from, epoch)
	return err
}
