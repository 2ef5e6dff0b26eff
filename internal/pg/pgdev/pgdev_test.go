package pgdev_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"kiosk/internal/pg/pgdev"
)

// holdVariable makes the test program hold a server and wait to be killed: on
// the folder that it names, or an ephemeral one.
const (
	holdVariable  = "KIOSK_TEST_HOLD"
	holdEphemeral = "ephemeral"
)

func TestMain(m *testing.M) {
	if what := os.Getenv(holdVariable); what != "" {
		os.Exit(hold(what))
	}
	os.Exit(runWithOwnCache(m))
}

// runWithOwnCache keeps the seeds of these tests out of the user's cache.
func runWithOwnCache(m *testing.M) int {
	cache, err := os.MkdirTemp("", "kiosk-cache-")
	if err == nil {
		err = os.Chmod(cache, 0o755)
	}
	if err == nil {
		err = os.Setenv("XDG_CACHE_HOME", cache)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(cache)
	return m.Run()
}

func TestStart_NeedsExactlyOneKind(t *testing.T) {
	t.Parallel()
	for _, o := range []pgdev.Options{{}, {Ephemeral: true, Dir: "x"}, {Dir: "x", Seed: &pgdev.Seed{Key: "k"}}} {
		if _, err := pgdev.Start(t.Context(), o); err == nil {
			t.Errorf("%+v was accepted", o)
		}
	}
}

func TestStart_EphemeralAnswersAndIsRemovedByStop(t *testing.T) {
	t.Parallel()
	s := start(t, pgdev.Options{Ephemeral: true})
	if got := queryText(t, s.URL("postgres"), "SHOW fsync"); got != "off" {
		t.Errorf("fsync is %s", got)
	}
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	waitClosed(t, s.Exited())
	if _, err := os.Stat(s.Dir()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the folder is still there: %v", err)
	}
	if locks, _ := filepath.Glob(s.Dir() + "*"); len(locks) != 0 {
		t.Errorf("left behind: %v", locks)
	}
	if err := s.Stop(); err != nil {
		t.Errorf("second stop: %v", err)
	}
}

func TestStart_SeedIsMadeOnceAndCopied(t *testing.T) {
	t.Parallel()
	made := 0
	seed := &pgdev.Seed{Key: rand.Text(), Fill: func(ctx context.Context, url string) error {
		made++
		return execute(ctx, url, "CREATE TABLE numbers AS SELECT 42 AS n")
	}}
	for range 2 {
		s := start(t, pgdev.Options{Ephemeral: true, Seed: seed})
		if got := queryText(t, s.URL("postgres"), "SELECT n::text FROM numbers"); got != "42" {
			t.Errorf("n is %s", got)
		}
	}
	if made != 1 {
		t.Errorf("made %d times", made)
	}
}

func TestStart_SeedThatFailsLeavesNothing(t *testing.T) {
	t.Parallel()
	broken := errors.New("no such table")
	seed := &pgdev.Seed{Key: rand.Text(), Fill: func(context.Context, string) error { return broken }}
	for range 2 {
		if _, err := pgdev.Start(t.Context(), pgdev.Options{Ephemeral: true, Seed: seed}); !errors.Is(err, broken) {
			t.Fatalf("got %v", err)
		}
	}
}

func TestStart_ContextEndsTheStart(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := pgdev.Start(ctx, pgdev.Options{Ephemeral: true}); !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v", err)
	}
}

func TestStart_DurableSurvivesStop(t *testing.T) {
	t.Parallel()
	dir := newDir(t)
	s := start(t, pgdev.Options{Dir: dir})
	if got := queryText(t, s.URL("postgres"), "SHOW fsync"); got != "on" {
		t.Errorf("fsync is %s", got)
	}
	mustExecute(t, s.URL("postgres"), "CREATE TABLE numbers AS SELECT 7 AS n")
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	s = start(t, pgdev.Options{Dir: dir})
	if got := queryText(t, s.URL("postgres"), "SELECT n::text FROM numbers"); got != "7" {
		t.Errorf("n is %s", got)
	}
}

func TestStart_LongDirGetsAShortSocket(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(newDir(t), strings.Repeat("long", 25))
	s := start(t, pgdev.Options{Dir: dir})
	if got := queryText(t, s.URL("postgres"), "SELECT 'here'"); got != "here" {
		t.Errorf("got %s", got)
	}
	u, err := url.Parse(s.URL("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Stop(); os.RemoveAll(u.Query().Get("host")) })
}

func TestStart_OldSeedsLeaveTheCache(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("only there do the tests have a cache of their own")
	}
	old := filepath.Join(os.Getenv("XDG_CACHE_HOME"), "kiosk", "postgres", "data-old")
	start(t, pgdev.Options{Ephemeral: true}) // makes the cache
	if err := os.Mkdir(old, 0o700); err != nil {
		t.Fatal(err)
	}
	lastWeek := time.Now().Add(-8 * 24 * time.Hour)
	if err := os.Chtimes(old, lastWeek, lastWeek); err != nil {
		t.Fatal(err)
	}
	nothing := func(context.Context, string) error { return nil }
	start(t, pgdev.Options{Ephemeral: true, Seed: &pgdev.Seed{Key: rand.Text(), Fill: nothing}})
	if _, err := os.Stat(old); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the old entry is still there: %v", err)
	}
}

func TestServer_ExitedTellsThatTheServerWasKilled(t *testing.T) {
	t.Parallel()
	s := start(t, pgdev.Options{Ephemeral: true})
	if err := syscall.Kill(serverPid(t, s.Dir()), syscall.SIGQUIT); err != nil {
		t.Fatal(err)
	}
	waitClosed(t, s.Exited())
	if err := s.Stop(); err == nil || !strings.Contains(err.Error(), "ended on its own") {
		t.Errorf("stop: %v", err)
	}
	if _, err := os.Stat(s.Dir()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the folder is still there: %v", err)
	}
}

// start starts a server that is stopped with the test, if it still runs then.
func start(t *testing.T, o pgdev.Options) *pgdev.Server {
	t.Helper()
	o.Log = slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug}))
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	s, err := pgdev.Start(ctx, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Stop() })
	return s
}

// newDir makes a folder that root's server can reach; t.TempDir is closed.
func newDir(t *testing.T) string {
	t.Helper()
	parent, err := os.MkdirTemp("", "pgdev-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(parent) })
	if err := os.Chmod(parent, 0o755); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(parent, "data")
}

func serverPid(t *testing.T, dir string) int {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, "pgdata", "postmaster.pid"))
	if err != nil {
		t.Fatal(err)
	}
	line, _, _ := strings.Cut(string(text), "\n")
	pid, err := strconv.Atoi(line)
	if err != nil {
		t.Fatal(err)
	}
	return pid
}

func execute(ctx context.Context, url, command string) error {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	_, err = conn.Exec(ctx, command)
	return err
}

func mustExecute(t *testing.T, url, command string) {
	t.Helper()
	if err := execute(t.Context(), url, command); err != nil {
		t.Fatal(err)
	}
}

func queryText(t *testing.T, url, query string) string {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	var text string
	if err := conn.QueryRow(t.Context(), query).Scan(&text); err != nil {
		t.Fatal(err)
	}
	return text
}

func waitClosed(t *testing.T, c <-chan struct{}) {
	t.Helper()
	select {
	case <-c:
	case <-time.After(20 * time.Second):
		t.Fatal("the server does not end")
	}
}

func waitUntil(t *testing.T, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !done(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited too long: %s", what)
		}
	}
}
