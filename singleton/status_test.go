package singleton_test

import (
	"testing"
	"time"

	"kiosk/singleton"
)

// Trouble is a present state: an instance that lost its term, or whose watcher was
// cut off, is healthy again as soon as it can read the lease.
func TestStatus_TroubleEndsWhenTheLeaseCanBeReadAgain(t *testing.T) {
	t.Parallel()
	url, pool := database(t)
	a := join(t, url, "a", nil)
	a.term(t)
	b := join(t, url, "b", nil)
	healthy := func(m *member, what string) {
		t.Helper()
		if err := m.WaitState(within(t), singleton.Passive); err != nil {
			t.Fatal(err)
		}
		for deadline := time.Now().Add(patience); m.Status().Trouble != ""; time.Sleep(10 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("%s: still in trouble: %s", what, m.Status().Trouble)
			}
		}
	}
	healthy(b, "a fresh standby")
	endSession(t, pool, "singleton/lock/a")
	b.term(t)
	healthy(a, "the instance that lost its term")
	endSession(t, pool, "singleton/watch/a")
	for deadline := time.Now().Add(patience); a.Status().Trouble == ""; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the cut watcher was not noticed")
		}
	}
	healthy(a, "the standby whose watcher was cut off")
}
