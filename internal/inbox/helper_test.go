package inbox_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"kiosk/internal/inbox"
	"kiosk/internal/pg"
	"kiosk/internal/pg/pgtest"
	"kiosk/singleton"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Run(m)) }

// source is who sends in these tests.
const source = "telegram"

// patience is how long a test waits for an event before it fails.
const patience = 20 * time.Second

var quiet = slog.New(slog.DiscardHandler)

// unmeasured metrics are registered nowhere.
var unmeasured = inbox.NewMetrics(nil)

// house is a database of its own, with what runs on it.
type house struct {
	t    *testing.T
	url  string
	pool *pgxpool.Pool
}

func open(t *testing.T) *house {
	t.Helper()
	url := pgtest.URL(t)
	h := &house{t: t, url: url, pool: pgtest.Pool(t, url)}
	h.exec(`CREATE TABLE effects (key text NOT NULL, epoch bigint NOT NULL DEFAULT 0)`)
	return h
}

// background runs fn until the end of the test, or until stop is called. Stop
// returns at once; the channel is closed when fn has returned.
func (h *house) background(fn func(context.Context)) (stop func() (done <-chan struct{})) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(h.t.Context()))
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		fn(ctx)
	}()
	stop = func() <-chan struct{} { cancel(); return ended }
	h.t.Cleanup(func() { <-stop() })
	return stop
}

// countingPool returns a pool of its own, and the number of statements done on it.
func (h *house) countingPool() (*pgxpool.Pool, *atomic.Int64) {
	h.t.Helper()
	cfg, err := pgxpool.ParseConfig(h.url)
	h.must(err)
	var s statements
	cfg.ConnConfig.Tracer = &s
	pool, err := pgxpool.NewWithConfig(h.t.Context(), cfg)
	h.must(err)
	h.t.Cleanup(pool.Close)
	return pool, &s.count
}

// statements counts what a connection has done.
type statements struct{ count atomic.Int64 }

func (*statements) TraceQueryStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryStartData) context.Context {
	return ctx
}

func (s *statements) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {
	s.count.Add(1)
}

// receiver returns a running receiver of this database, as any instance has one.
func (h *house) receiver() *inbox.Receiver {
	h.t.Helper()
	r, _ := h.receiverOn(h.pool, nil)
	return r
}

func (h *house) receiverOn(db pg.DB, stored func()) (r *inbox.Receiver, stop func() (done <-chan struct{})) {
	h.t.Helper()
	r, err := inbox.NewReceiver(db, quiet, unmeasured, stored)
	h.must(err)
	r.NotifyAtMostEvery(time.Hour)
	return r, h.background(r.Run)
}

// store stores the messages one after another.
func (h *house) store(r *inbox.Receiver, messages ...inbox.Envelope) {
	h.t.Helper()
	for _, e := range messages {
		if err := r.Store(h.t.Context(), e); err != nil {
			h.t.Fatalf("store %s: %v", e.Key, err)
		}
	}
}

// message returns the envelope of a message in a lane, with one queue per lane.
func message(lane, key string) inbox.Envelope {
	return inbox.Envelope{Source: source, Key: key, Lane: lane, Body: []byte(key)}
}

// elect waits until a new instance is ACTIVE, for one term. Its work sessions,
// if it has a pool of its own, are those with the application name app.
func (h *house) elect(name, app string) *singleton.Term {
	h.t.Helper()
	e, err := singleton.New(singleton.Config{
		Name: "inbox", URL: h.url, Instance: name, WorkApplicationName: app,
		Exit: func(int) {}, // a test's handler may outlive its term for long
	})
	h.must(err)
	terms := make(chan *singleton.Term, 1)
	h.background(func(ctx context.Context) {
		ctx, end := context.WithCancel(ctx)
		defer end()
		_ = e.Run(ctx, func(ctx context.Context, term *singleton.Term) error {
			defer end()
			terms <- term
			<-ctx.Done()
			return nil
		})
	})
	return receive(h.t, terms, "the lock")
}

// endSession ends the session that holds the lock, as a dead network would.
func (h *house) endSession() {
	h.t.Helper()
	h.exec(`SELECT pg_terminate_backend(pid) FROM singleton_lease`)
}

// process runs a processor during a term until the end of the test.
func (h *house) process(term *singleton.Term, handler inbox.Handler) *inbox.Processor {
	h.t.Helper()
	p, _ := h.processOn(h.pool, term, handler)
	return p
}

func (h *house) processOn(pool *pgxpool.Pool, term *singleton.Term, handler inbox.Handler) (p *inbox.Processor, stop func() (done <-chan struct{})) {
	h.t.Helper()
	p, err := inbox.NewProcessor(source, pool, term, handler, quiet, unmeasured)
	h.must(err)
	return p, h.background(p.Run)
}

// recorder is a handler that reports each call, and then does what a test wants
// of it.
type recorder struct {
	calls chan inbox.Message
	do    func(context.Context, pgx.Tx, inbox.Message) error
}

func record(do func(context.Context, pgx.Tx, inbox.Message) error) recorder {
	return recorder{calls: make(chan inbox.Message, 1024), do: do}
}

func (r recorder) handler() inbox.Handler { return inbox.Handler{Handle: r.handle} }

func (r recorder) handle(ctx context.Context, tx pgx.Tx, m inbox.Message) error {
	r.calls <- m
	if r.do == nil {
		return nil
	}
	return r.do(ctx, tx, m)
}

// keys waits for n calls and returns their messages' keys in order.
func (r recorder) keys(t *testing.T, n int) []string {
	t.Helper()
	var keys []string
	for i := range n {
		keys = append(keys, receive(t, r.calls, fmt.Sprintf("call %d of %d, after %v", i+1, n, keys)).Key)
	}
	return keys
}

// remember is the effect of a message.
func remember(ctx context.Context, tx pgx.Tx, m inbox.Message) error {
	_, err := tx.Exec(ctx, `INSERT INTO effects (key) VALUES ($1)`, m.Key)
	return err
}

// skipPauses makes due what waits for its next attempt, as if time had passed,
// and keeps doing so until the end of the test.
func (h *house) skipPauses(p *inbox.Processor) {
	h.background(func(ctx context.Context) {
		for ctx.Err() == nil {
			tag, err := h.pool.Exec(ctx, `UPDATE inbox_messages SET due_at = clock_timestamp()
				WHERE state = 'pending' AND due_at > clock_timestamp()`)
			if err == nil && tag.RowsAffected() > 0 {
				p.Wake()
			}
			pause(ctx, 5*time.Millisecond)
		}
	})
}

// awaitDone waits until n messages are done.
func (h *house) awaitDone(n int) {
	h.t.Helper()
	eventually(h.t, fmt.Sprintf("%d messages done", n), func() bool {
		return h.count(`SELECT count(*) FROM inbox_messages WHERE state = 'done'`) >= n
	})
}

func (h *house) exec(sql string, args ...any) {
	h.t.Helper()
	_, err := h.pool.Exec(h.t.Context(), sql, args...)
	h.must(err)
}

func (h *house) count(sql string, args ...any) int {
	h.t.Helper()
	return value[int](h, sql, args...)
}

// value returns the one value that a query finds.
func value[T any](h *house, sql string, args ...any) T {
	h.t.Helper()
	var v T
	h.must(h.pool.QueryRow(h.t.Context(), sql, args...).Scan(&v))
	return v
}

func (h *house) must(err error) {
	h.t.Helper()
	if err != nil {
		h.t.Fatal(err)
	}
}

// lockTable lets no row into the inbox until unlock is called.
func (h *house) lockTable() (unlock func()) {
	h.t.Helper()
	tx, err := h.pool.Begin(h.t.Context())
	h.must(err)
	_, err = tx.Exec(h.t.Context(), `LOCK TABLE inbox_messages IN SHARE MODE`)
	h.must(err)
	unlock = func() { _ = tx.Rollback(context.WithoutCancel(h.t.Context())) }
	h.t.Cleanup(unlock)
	return unlock
}

// awaitBlocked waits until n statements wait for a lock on the inbox.
func (h *house) awaitBlocked(n int) {
	h.t.Helper()
	eventually(h.t, fmt.Sprintf("%d statements that wait for the table", n), func() bool {
		return h.count(`SELECT count(*) FROM pg_locks WHERE NOT granted
			AND relation = 'inbox_messages'::regclass AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`) >= n
	})
}

// memory is a log that a test can wait for.
type memory struct{ lines chan string }

func newLog() memory { return memory{make(chan string, 1024)} }

func (memory) Enabled(context.Context, slog.Level) bool { return true }
func (m memory) WithAttrs([]slog.Attr) slog.Handler     { return m }
func (m memory) WithGroup(string) slog.Handler          { return m }

func (m memory) Handle(_ context.Context, r slog.Record) error {
	m.lines <- r.Message
	return nil
}

func (m memory) await(t *testing.T, text string) {
	t.Helper()
	for !strings.Contains(receive(t, m.lines, "the log line "+text), text) {
		continue
	}
}

// eventually waits until cond holds.
func eventually(t *testing.T, what string, cond func() bool) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for !cond() {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for %s", what)
		}
		pause(t.Context(), 2*time.Millisecond)
	}
}

// receive waits for the next value.
func receive[T any](t *testing.T, ch <-chan T, what string) T {
	t.Helper()
	select {
	case v := <-ch:
		return v
	case <-time.After(patience):
		t.Fatalf("waited in vain for %s", what)
		panic("not reached")
	}
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
