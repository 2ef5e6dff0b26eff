package pgtest_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"kiosk/internal/pg/pgtest"
)

func TestMain(m *testing.M) {
	if os.Getenv(childVariable) != "" {
		os.Exit(runChild(m))
	}
	os.Exit(runWithOwnCache(m))
}

// runWithOwnCache makes sure that the template of these tests is not there yet.
func runWithOwnCache(m *testing.M) int {
	cache, err := os.MkdirTemp("", "kiosk-cache-")
	if err == nil {
		err = os.Setenv("XDG_CACHE_HOME", cache)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(cache)
	return pgtest.Run(m)
}

var applied atomic.Int32

// notes is a database with one table; it counts how often it is made.
func notes(t testing.TB) string {
	t.Helper()
	return pgtest.FromTemplate(t, "notes", func(ctx context.Context, url string) error {
		applied.Add(1)
		return execute(ctx, url, "CREATE TABLE notes (id bigint PRIMARY KEY)")
	})
}

func TestFromTemplate_AppliesOnceAndSharesNothing(t *testing.T) {
	t.Parallel()
	for i := range 30 {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			t.Parallel()
			url := notes(t)
			must(t, execute(t.Context(), url, "INSERT INTO notes VALUES (1)")) // a key that others use too
			if n := queryInt(t, url, "SELECT count(*) FROM notes"); n != 1 {
				t.Errorf("%d rows", n)
			}
			if n := applied.Load(); n > 1 {
				t.Errorf("the template was applied %d times", n)
			}
		})
	}
}

func TestFromTemplate_ManyAtTheSameTime(t *testing.T) {
	t.Parallel()
	results := make(chan error, 30)
	for range cap(results) {
		url := notes(t) // made one by one, used all at once
		go func() { results <- execute(context.Background(), url, "INSERT INTO notes VALUES (1)") }()
	}
	for range cap(results) {
		if err := <-results; err != nil {
			t.Error(err)
		}
	}
}

func TestEmpty_HasNoTables(t *testing.T) {
	t.Parallel()
	const tables = "SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace"
	if n := queryInt(t, pgtest.Empty(t), tables); n != 0 {
		t.Errorf("%d tables", n)
	}
}

func TestEmpty_IsDroppedAfterTheTestEvenIfInUse(t *testing.T) {
	t.Parallel()
	var url string
	t.Run("user", func(t *testing.T) {
		url = pgtest.Empty(t)
		if _, err := pgx.Connect(t.Context(), url); err != nil { // never closed
			t.Fatal(err)
		}
	})
	_, err := pgx.Connect(t.Context(), url)
	var refused *pgconn.PgError
	if !errors.As(err, &refused) || refused.Code != "3D000" {
		t.Errorf("got %v", err)
	}
}

func TestFromTemplate_FailedApplyFailsTheTestAndIsNotRepeated(t *testing.T) {
	t.Parallel()
	key := rand.Text()
	tries := 0
	for range 2 {
		failed := &recorder{TB: t}
		inGoroutine(func() {
			pgtest.FromTemplate(failed, key, func(context.Context, string) error {
				tries++
				return errors.New("syntax error at end of input")
			})
		})
		if !strings.Contains(failed.fatal, "syntax error at end of input") {
			t.Errorf("the test says %q", failed.fatal)
		}
	}
	if tries != 1 {
		t.Errorf("tried %d times", tries)
	}
}

func TestFromTemplate_ApplyThatEndsItsGoroutineFailsTheOthers(t *testing.T) {
	t.Parallel()
	key := rand.Text()
	inGoroutine(func() {
		pgtest.FromTemplate(t, key, func(context.Context, string) error { runtime.Goexit(); return nil })
	})
	failed := &recorder{TB: t}
	inGoroutine(func() {
		pgtest.FromTemplate(failed, key, func(context.Context, string) error { return nil })
	})
	if !strings.Contains(failed.fatal, "ended its goroutine") {
		t.Errorf("the test says %q", failed.fatal)
	}
}

// recorder is a test that keeps its last words.
type recorder struct {
	testing.TB
	fatal string
}

func (r *recorder) Fatalf(format string, args ...any) {
	r.fatal = fmt.Sprintf(format, args...)
	runtime.Goexit()
}

// inGoroutine runs what may end its goroutine.
func inGoroutine(f func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	<-done
}

func execute(ctx context.Context, url string, commands ...string) error {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	for _, command := range commands {
		if _, err := conn.Exec(ctx, command); err != nil {
			return err
		}
	}
	return nil
}

func queryInt(t *testing.T, url, query string, args ...any) int {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	must(t, err)
	defer conn.Close(t.Context())
	var n int
	must(t, conn.QueryRow(t.Context(), query, args...).Scan(&n))
	return n
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
