package singleton_test

import (
	"testing"

	"github.com/jackc/pgx/v5"

	"kiosk/singleton"
)

// A rehearsal leaves nothing behind but what the session has learned.
func TestRehearse_LeavesNoRowsAndNoLocks(t *testing.T) {
	t.Parallel()
	url, pool := database(t)
	conn, err := pgx.Connect(within(t), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(within(t)) })
	for range 2 {
		if err := singleton.Rehearse(within(t), conn); err != nil {
			t.Fatal(err)
		}
	}
	var rows, locks, prepared int
	err = pool.QueryRow(within(t), `SELECT (SELECT count(*) FROM singleton_lease) + (SELECT count(*) FROM singleton_fence) + (SELECT count(*) FROM singleton_event),
		(SELECT count(*) FROM pg_locks WHERE pid = $1 AND locktype = 'advisory')`, conn.PgConn().PID()).Scan(&rows, &locks)
	if err != nil || rows != 0 || locks != 0 {
		t.Errorf("a rehearsal left %d rows and %d locks, %v", rows, locks, err)
	}
	err = conn.QueryRow(within(t), `SELECT count(*) FROM pg_prepared_statements WHERE statement LIKE 'SELECT singleton_check(%'`).Scan(&prepared)
	if err != nil || prepared != 1 {
		t.Errorf("the fence is prepared %d times, %v", prepared, err)
	}
}
