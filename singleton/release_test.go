package singleton_test

import (
	"testing"

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
	err := conn.QueryRow(within(t), singleton.ReleaseStatement(), "lock", 2, term, "frozen", "", true, singleton.Key("lock")).Scan(&unlocked)
	if err != nil || !unlocked {
		t.Fatalf("unlocked %v, %v", unlocked, err)
	}
	if next := join(t, url, "b", nil).term(t); !next.Clean() { // conn stays open, and silent
		t.Fatal("the term says that the release was none")
	}
}
