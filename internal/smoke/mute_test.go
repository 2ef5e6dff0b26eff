package smoke_test

import (
	"context"
	"net/url"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"kiosk/internal/pg/pgtest"
	"kiosk/internal/smoke"
)

// The port that the lock check opens for some seconds lets nobody else in.
func TestMute_OpensForItsOwnPasswordOnly(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	m, err := smoke.NewMute(ctx, pgtest.Empty(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Close)
	u, err := url.Parse(m.URL())
	if err != nil {
		t.Fatal(err)
	}
	for _, stranger := range []*url.Userinfo{url.UserPassword("smoke", "guess"), url.User("smoke"), url.UserPassword("postgres", "")} {
		u.User = stranger
		if conn, err := pgx.Connect(ctx, u.String()); err == nil {
			_ = conn.Close(ctx)
			t.Errorf("%s was let in", stranger)
		}
	}
	conn, err := pgx.Connect(ctx, m.URL())
	if err != nil {
		t.Fatal(err)
	}
	_ = conn.Close(ctx)
}

// A silent line loses nothing and closes nothing: the caller just waits.
func TestMute_SilenceIsNoEnd(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	m, err := smoke.NewMute(ctx, pgtest.Empty(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Close)
	conn, err := pgx.Connect(ctx, m.URL())
	if err != nil {
		t.Fatal(err)
	}
	var pid uint32
	if err := conn.QueryRow(ctx, `SELECT pg_backend_pid()`).Scan(&pid); err != nil || pid != conn.PgConn().PID() {
		t.Fatalf("process %d answers, %d was announced, %v", pid, conn.PgConn().PID(), err)
	}
	m.Silence()
	bounded, cancel := context.WithTimeout(ctx, 300*time.Millisecond)
	defer cancel()
	if _, err := conn.Exec(bounded, `SELECT 1`); err == nil || bounded.Err() == nil {
		t.Errorf("a silent line answered, or ended before the patience did: %v", err)
	}
	m.Thaw()
	again, err := pgx.Connect(ctx, m.URL())
	if err != nil {
		t.Fatalf("after the silence: %v", err)
	}
	_ = again.Close(ctx)
}
