package singleton_test

import (
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"kiosk/singleton"
)

// A wait may end at the very moment at which the lock is granted, and a session's
// lock survives the error that ends the wait. Who is told "busy" must not hold it:
// a process that is frozen then would hold it unregistered.
func TestGrant_WhoIsToldBusyDoesNotHoldTheLock(t *testing.T) {
	t.Parallel()
	url, pool := database(t)
	m := join(t, url, "registers", nil) // makes the rows
	m.term(t)
	m.leave(t)
	ctx := within(t)
	var conns [2]*pgx.Conn
	for i := range conns {
		var err error
		if conns[i], err = pgx.Connect(ctx, url); err != nil {
			t.Fatal(err)
		}
		defer conns[i].Close(ctx)
	}
	key := singleton.Key("lock")
	for round := range 300 {
		if _, err := conns[0].Exec(ctx, `SELECT pg_advisory_lock($1::bigint)`, key); err != nil {
			t.Fatal(err)
		}
		outcome := make(chan string, 1)
		go func() {
			var text string
			if err := conns[1].QueryRow(ctx, `SELECT outcome FROM singleton_grant('lock', $1, 'session', 'waits', '', '', 0, 10, '', 0, 0)`, key).Scan(&text); err != nil {
				text = err.Error()
			}
			outcome <- text
		}()
		time.Sleep(9*time.Millisecond + time.Duration(round*10)*time.Microsecond) // around the end of the wait
		if _, err := conns[0].Exec(ctx, `SELECT pg_advisory_unlock($1::bigint)`, key); err != nil {
			t.Fatal(err)
		}
		text := <-outcome
		var holds bool
		if err := pool.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND granted AND pid = $1)`,
			int32(conns[1].PgConn().PID())).Scan(&holds); err != nil {
			t.Fatal(err)
		}
		if holds != (text == "acquired") {
			t.Fatalf("round %d: told %q, holds the lock: %t", round+1, text, holds)
		}
		if holds {
			if _, err := conns[1].Exec(ctx, `SELECT pg_advisory_unlock_all()`); err != nil {
				t.Fatal(err)
			}
			if _, err := pool.Exec(ctx, `UPDATE singleton_lease SET state = 'released'`); err != nil {
				t.Fatal(err)
			}
		}
	}
}
