package singleton_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"kiosk/singleton"
)

func TestStepDown_HandsOverAtOnceAndWaitsAgain(t *testing.T) {
	t.Parallel()
	for _, mode := range []singleton.Mode{singleton.Session, singleton.Lease} {
		t.Run(string(mode), func(t *testing.T) {
			t.Parallel()
			url, pool := database(t)
			set := func(c *singleton.Config) { c.Mode = mode }
			a := join(t, url, "a", set)
			old := a.term(t)
			b := join(t, url, "b", set)
			if err := b.WaitState(within(t), singleton.Passive); err != nil {
				t.Fatal(err)
			}
			until(t, "b waits and has looked", func() bool { return b.Status().Holder == "a" })
			epoch, err := singleton.StepDown(within(t), pool, "lock", "somebody", "a")
			if err != nil || epoch != old.Epoch() {
				t.Fatalf("epoch %d, %v", epoch, err)
			}
			next := b.term(t)
			if !next.Clean() {
				t.Fatal("the handover was not clean")
			}
			if cause := context.Cause(old.Context()); !errors.Is(cause, singleton.ErrReleased) {
				t.Fatalf("cause = %v, want ErrReleased", cause)
			}
			if err := a.WaitState(within(t), singleton.Passive); err != nil {
				t.Fatal(err)
			}
			if _, err := singleton.StepDown(within(t), pool, "lock", "somebody", "a"); !errors.Is(err, singleton.ErrOtherHolder) {
				t.Fatalf("err = %v, want ErrOtherHolder", err)
			}
			events, err := singleton.History(within(t), pool, "lock", 10)
			if err != nil || len(events) != 4 || events[2].Kind != "asked" || !strings.Contains(events[1].Detail, "somebody") {
				t.Fatalf("history %+v, %v", events, err)
			}
		})
	}
}

func TestStepDown_RefusesWhenNobodyHolds(t *testing.T) {
	t.Parallel()
	url, pool := database(t)
	if _, err := singleton.StepDown(within(t), pool, "lock", "x", ""); !errors.Is(err, singleton.ErrUnknownLock) {
		t.Fatalf("err = %v, want ErrUnknownLock", err)
	}
	a := join(t, url, "a", nil)
	a.term(t)
	a.leave(t)
	if _, err := singleton.StepDown(within(t), pool, "lock", "x", ""); !errors.Is(err, singleton.ErrNotHeld) {
		t.Fatalf("err = %v, want ErrNotHeld", err)
	}
}

// The newer version takes over from the older ones, each asked once; the older
// one that waits in front of it in the queue lets it pass; nobody asks back.
func TestSupersede_TheNewerVersionFollowsOnceAndForGood(t *testing.T) {
	t.Parallel()
	url, pool := database(t)
	rank := func(r int64) func(*singleton.Config) {
		return func(c *singleton.Config) { c.Rank, c.Supersede, c.Version = r, true, "v" }
	}
	a := join(t, url, "old-a", rank(1))
	a.term(t)
	b := join(t, url, "old-b", rank(1))
	if err := b.WaitState(within(t), singleton.Passive); err != nil {
		t.Fatal(err)
	}
	newer := join(t, url, "new", rank(2))
	term := newer.term(t)
	if term.Epoch() != 2 || !term.Clean() {
		t.Fatalf("epoch %d, clean %t: the older standby was not passed", term.Epoch(), term.Clean())
	}
	same := join(t, url, "new-2", rank(2))
	until(t, "all others see the new holder", func() bool {
		return same.Status().Holder == "new" && a.Status().Holder == "new" && b.Status().Holder == "new"
	})
	seen := beats(t, newer)
	until(t, "10 more beats", func() bool { return beats(t, newer) >= seen+10 }) // several looks of everybody
	if err := term.Check(); err != nil {
		t.Fatal(err)
	}
	h, err := singleton.ReadHolding(within(t), pool, "lock")
	if err != nil || h.Holder != "new" || h.Epoch != 2 || h.Asked || h.Version != "v" || len(h.Standbys) != 3 {
		t.Fatalf("holding %+v, %v", h, err)
	}
}

// beats reads the number of heartbeats of the present term.
func beats(t *testing.T, m *member) int64 {
	t.Helper()
	conn, err := pgx.Connect(within(t), m.url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	h, err := singleton.ReadHolding(within(t), conn, "lock")
	if err != nil {
		t.Fatal(err)
	}
	return h.Beats
}

func TestForce_FencesWhoeverHolds(t *testing.T) {
	t.Parallel()
	url, pool := database(t)
	a := join(t, url, "a", func(c *singleton.Config) { c.StaleHeartbeat = time.Hour })
	old := a.term(t)
	former, err := singleton.Force(within(t), pool, "lock", "an operator")
	if err != nil || former != "a" {
		t.Fatalf("former %q, %v", former, err)
	}
	if err := effect(within(t), old, pool); err == nil {
		t.Fatal("the old term could still write")
	}
	next := a.term(t) // it campaigns again like any other
	if next.Epoch() < old.Epoch()+2 {
		t.Fatalf("epoch %d after %d: the forced end has none of its own", next.Epoch(), old.Epoch())
	}
	takeovers, err := singleton.ReadTakeovers(within(t), pool, "lock")
	if err != nil || takeovers.Forced != 1 {
		t.Fatalf("takeovers %+v, %v", takeovers, err)
	}
}

func TestExec_OneStatementIsFencedAsATransactionIs(t *testing.T) {
	t.Parallel()
	url, pool := database(t)
	a := join(t, url, "a", func(c *singleton.Config) { c.StaleHeartbeat = time.Hour })
	term := a.term(t)
	tag, err := term.Exec(within(t), pool, `INSERT INTO effects SELECT generate_series(1, $1::int)`, 3)
	if err != nil || tag.RowsAffected() != 3 {
		t.Fatalf("%d rows, %v", tag.RowsAffected(), err)
	}
	if _, err := term.Exec(within(t), pool, `INSERT INTO effects VALUES (1 / $1::int)`, 0); err == nil || errors.Is(err, singleton.ErrFenced) {
		t.Fatalf("err = %v, want the statement's own", err)
	}
	if _, err := pool.Exec(within(t), `UPDATE singleton_fence SET epoch = epoch + 1, term = gen_random_uuid()`); err != nil {
		t.Fatal(err)
	}
	if _, err := term.Exec(within(t), pool, `INSERT INTO effects VALUES (9)`); !errors.Is(err, singleton.ErrFenced) {
		t.Fatalf("err = %v, want ErrFenced", err)
	}
	var n int
	if err := pool.QueryRow(within(t), `SELECT count(*) FROM effects`).Scan(&n); err != nil || n != 3 {
		t.Fatalf("%d effects, %v", n, err)
	}
}

// A term that began on another incarnation of the server (before a failover that
// lost its successor, say) is refused even though epoch and term are in the row.
func TestInTx_ATermIsBoundToTheServerItBeganOn(t *testing.T) {
	t.Parallel()
	url, pool := database(t)
	a := join(t, url, "a", nil)
	term := a.term(t)
	if err := effect(within(t), term, pool); err != nil {
		t.Fatal(err)
	}
	if _, err := pool.Exec(within(t), `CREATE OR REPLACE FUNCTION singleton_server() RETURNS bigint LANGUAGE sql STABLE AS 'SELECT 1::bigint'`); err != nil {
		t.Fatal(err)
	}
	if err := effect(within(t), term, pool); !errors.Is(err, singleton.ErrFenced) {
		t.Fatalf("err = %v, want ErrFenced", err)
	}
}

func TestBarrier_OnlyAfterAnUncleanEnd(t *testing.T) {
	t.Parallel()
	url, pool := database(t)
	a := join(t, url, "a", nil)
	if d := a.term(t).Barrier(); d != 0 {
		t.Fatalf("the first term has a barrier of %s", d)
	}
	b := join(t, url, "b", nil)
	if err := b.WaitState(within(t), singleton.Passive); err != nil {
		t.Fatal(err)
	}
	endSession(t, pool, "singleton/lock/a")
	next := b.term(t)
	if d := next.Barrier(); d <= 0 || d > 2*time.Second {
		t.Fatalf("barrier %s, want up to the stale time", d)
	}
	until(t, "the barrier falls", func() bool { return next.Barrier() == 0 })
}

// A heartbeat statement that fails, as after a broken migration, is a state that
// people see, and no kill loop: it ends when the cause ends.
func TestBeat_AFailingStatementIsAVisibleStateAndNoLoop(t *testing.T) {
	t.Parallel()
	url, pool := database(t)
	log := &lines{}
	a := join(t, url, "a", func(c *singleton.Config) { c.Log = log.logger() })
	old := a.term(t)
	if _, err := pool.Exec(within(t), `ALTER TABLE singleton_lease RENAME COLUMN progress TO progress_gone`); err != nil {
		t.Fatal(err)
	}
	<-old.Context().Done()
	until(t, "the trouble is seen", func() bool { return strings.Contains(a.Status().Trouble, "progress") })
	time.Sleep(3 * time.Second) // several attempts
	if n := log.count("lock trouble"); n > 4 {
		t.Errorf("%d lines of trouble:\n%s", n, log.text())
	}
	if _, err := pool.Exec(within(t), `ALTER TABLE singleton_lease RENAME COLUMN progress_gone TO progress`); err != nil {
		t.Fatal(err)
	}
	a.term(t)
	until(t, "the trouble ends", func() bool { return a.Status().Trouble == "" })
}

func TestWatch_AStrangerIsAnAlarm(t *testing.T) {
	t.Parallel()
	url, pool := database(t)
	e := join(t, url, "probe", nil)
	e.term(t)
	e.leave(t)
	conn, err := pgx.Connect(within(t), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	if _, err := conn.Exec(within(t), `SELECT pg_advisory_lock($1)`, singleton.Key("lock")); err != nil {
		t.Fatal(err)
	}
	b := join(t, url, "b", nil)
	until(t, "the alarm", func() bool { return strings.Contains(b.Status().Trouble, "not registered") })
	if err := conn.Ping(within(t)); err != nil {
		t.Fatalf("the stranger was ended: %v", err)
	}
	events, err := singleton.History(within(t), pool, "lock", 1)
	if err != nil || events[0].Kind != "alarm" {
		t.Fatalf("history %+v, %v", events, err)
	}
	_ = conn.Close(within(t))
	b.term(t)
	until(t, "the alarm ends", func() bool { return b.Status().Trouble == "" })
}

func TestClusterID_AnotherDomainIsRefused(t *testing.T) {
	t.Parallel()
	url, pool := database(t)
	id, err := singleton.Domain(within(t), pool)
	if err != nil {
		t.Fatal(err)
	}
	right := join(t, url, "right", func(c *singleton.Config) { c.ClusterID = id })
	right.term(t)
	wrong := join(t, url, "wrong", func(c *singleton.Config) { c.ClusterID = "00000000-0000-0000-0000-000000000000" })
	until(t, "the refusal", func() bool { return strings.Contains(wrong.Status().Trouble, "another database") })
}
