package singleton_test

import (
	"testing"
	"time"

	"kiosk/singleton"
)

// A process that is frozen while it releases must not leave a lock behind that is
// neither registered nor free: nobody may take such a one.
func TestRelease_OneStatementGivesEverythingBack(t *testing.T) {
	t.Parallel()
	url, _ := database(t)
	conn := ghost(t, url)
	var term string
	if err := conn.QueryRow(within(t), `SELECT term::text FROM singleton_lease`).Scan(&term); err != nil {
		t.Fatal(err)
	}
	var unlocked bool
	err := conn.QueryRow(within(t), singleton.ReleaseStatement(), "lock", 2, term, "frozen", "", true, singleton.Key("lock"), false).Scan(&unlocked)
	if err != nil || !unlocked {
		t.Fatalf("unlocked %v, %v", unlocked, err)
	}
	if next := join(t, url, "b", nil).term(t); !next.Clean() { // conn stays open, and silent
		t.Fatal("the term says that the release was none")
	}
}

// b followed an unclean end and leaves cleanly while a may still act outside: who
// follows b has to wait for a, too.
func TestBarrier_ACleanEndDoesNotHideTheUncleanOneBefore(t *testing.T) {
	t.Parallel()
	url, pool := database(t)
	slow := func(c *singleton.Config) { c.StaleHeartbeat = patience }
	a := join(t, url, "a", slow)
	a.term(t)
	b := join(t, url, "b", slow)
	if err := b.WaitState(within(t), singleton.Passive); err != nil {
		t.Fatal(err)
	}
	endSession(t, pool, "singleton/lock/a")
	b.term(t)
	a.leave(t)
	b.leave(t)
	if d := join(t, url, "c", slow).term(t).Barrier(); d <= 0 {
		t.Fatal("the barrier was forgotten")
	}
}

// Who is forced out may be acting outside at that moment.
func TestForce_LeavesABarrier(t *testing.T) {
	t.Parallel()
	url, pool := database(t)
	a := join(t, url, "a", nil)
	a.term(t)
	b := join(t, url, "b", nil)
	if err := b.WaitState(within(t), singleton.Passive); err != nil {
		t.Fatal(err)
	}
	if _, err := singleton.Force(within(t), pool, "lock", "somebody"); err != nil {
		t.Fatal(err)
	}
	var next *singleton.Term
	select {
	case next = <-b.terms:
	case next = <-a.terms:
	case <-time.After(patience):
		t.Fatal("nobody followed")
	}
	if next.Clean() {
		t.Fatal("the term says that the one that was forced to end ended cleanly")
	}
}
