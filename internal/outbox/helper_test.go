package outbox_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"kiosk/internal/outbox"
	"kiosk/internal/pg/pgtest"
	"kiosk/singleton"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Run(m)) }

// patience is how long a test waits for an event before it fails.
const patience = 20 * time.Second

// The kinds of message that the tests' Sender knows.
const (
	notice = "notice" // must not be sent twice
	edit   = "edit"   // may be repeated
)

var quiet = slog.New(slog.DiscardHandler)

// event is one call of a Sender.
type event struct {
	call    string // "send" or "settle"
	message outbox.Message

	// Of settle:
	end     outbox.State
	receipt string
	cause   error
}

// String is how tests compare events: "send a", "settle a unknown".
func (e event) String() string {
	if e.call == "send" {
		return "send " + e.message.Key
	}
	return "settle " + e.message.Key + " " + string(e.end)
}

// scripted is a Sender that reports every call, and answers as it was told.
type scripted struct {
	events chan event

	// What to do in a call, nil for nothing. The error of send is the Bot API
	// client's.
	send   func(context.Context, outbox.Message) error
	settle func(context.Context, pgx.Tx, outbox.Message, outbox.State) error

	mu      sync.Mutex
	answers map[string][]error // for each key the errors of its calls in turn; then none
}

func newSender() *scripted {
	return &scripted{events: make(chan event, 4096), answers: map[string][]error{}}
}

func (s *scripted) Send(ctx context.Context, m outbox.Message) (outbox.Receipt, error) {
	s.events <- event{call: "send", message: m}
	if s.send != nil {
		if err := s.send(ctx, m); err != nil {
			return nil, err
		}
	}
	return outbox.Receipt(`"of ` + m.Key + `"`), s.answer(m.Key)
}

func (s *scripted) answer(key string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	left := s.answers[key]
	if len(left) == 0 {
		return nil
	}
	s.answers[key] = left[1:]
	return left[0]
}

func (s *scripted) Settle(ctx context.Context, tx pgx.Tx, m outbox.Message, end outbox.State, receipt outbox.Receipt, cause error) error {
	s.events <- event{"settle", m, end, string(receipt), cause}
	if s.settle == nil {
		return nil
	}
	return s.settle(ctx, tx, m, end)
}

func (s *scripted) Repeatable(kind string) bool { return kind == edit }

// next waits for the next n events.
func (s *scripted) next(t *testing.T, n int) []event {
	t.Helper()
	var got []event
	for i := range n {
		got = append(got, receive(t, s.events, fmt.Sprintf("event %d of %d, after %v", i+1, n, got)))
	}
	return got
}

// want waits for these events, in this order.
func (s *scripted) want(t *testing.T, events ...string) {
	t.Helper()
	for i, e := range s.next(t, len(events)) {
		if e.String() != events[i] {
			t.Fatalf("event %d is %q, want %q of %q", i+1, e, events[i], events)
		}
	}
}

// until waits for an event, and returns all up to it.
func (s *scripted) until(t *testing.T, last func(event) bool, what string) []event {
	t.Helper()
	var got []event
	for len(got) == 0 || !last(got[len(got)-1]) {
		got = append(got, receive(t, s.events, what))
	}
	return got
}

// house is a database of its own, with what runs on it.
type house struct {
	t    *testing.T
	url  string
	pool *pgxpool.Pool
}

func open(t *testing.T) *house {
	t.Helper()
	url := pgtest.URL(t)
	return &house{t: t, url: url, pool: pgtest.Pool(t, url)}
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

// start opens a house where s sends during a term.
func start(t *testing.T, s outbox.Sender) (*house, *outbox.Worker) {
	t.Helper()
	h := open(t)
	return h, h.work(h.elect("one", h.url), s)
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

// elect waits until a new instance is ACTIVE, for one term. The first trusts
// itself for long, so that the fence alone can stop it; its successor thinks
// that acts of the first are over soon.
func (h *house) elect(name, url string) *singleton.Term {
	h.t.Helper()
	cfg := singleton.Config{Name: "outbox", URL: url, Instance: name, StaleHeartbeat: time.Hour, Exit: func(int) {}}
	if name == "two" {
		cfg.Heartbeat, cfg.StaleHeartbeat = 100*time.Millisecond, 2*time.Second
	}
	e, err := singleton.New(cfg)
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

// work runs a worker until the end of the test.
func (h *house) work(term *singleton.Term, s outbox.Sender) *outbox.Worker {
	h.t.Helper()
	w, _ := h.workOn(h.pool, term, s)
	return w
}

func (h *house) workOn(pool *pgxpool.Pool, term *singleton.Term, s outbox.Sender) (w *outbox.Worker, stop func() (done <-chan struct{})) {
	h.t.Helper()
	w, err := outbox.NewWorker(pool, term, s, quiet, outbox.NewMetrics(nil))
	h.must(err)
	return w, h.background(w.Run)
}

// draft is a message whose arguments are its key.
func draft(kind string, chat int64, key string) outbox.Draft {
	return outbox.Draft{Key: key, ChatID: chat, Kind: kind, Args: key}
}

func urgent(chat int64, key string) outbox.Draft {
	d := draft(notice, chat, key)
	d.Urgent = true
	return d
}

// add commits the messages together.
func (h *house) add(drafts ...outbox.Draft) {
	h.t.Helper()
	h.must(pgx.BeginFunc(h.t.Context(), h.pool, func(tx pgx.Tx) error {
		for _, d := range drafts {
			if err := outbox.Add(h.t.Context(), tx, d); err != nil {
				return err
			}
		}
		return nil
	}))
}

// row is what the table says of a message.
type row struct {
	State    string
	Attempts int
	Epoch    int64 // of the claim, 0 for none
	Error    string
}

func (h *house) row(key string) row {
	h.t.Helper()
	r, err := readRow(h.t.Context(), h.pool, key)
	h.must(err)
	return r
}

// querier is a pool or a transaction.
type querier interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

func readRow(ctx context.Context, db querier, key string) (r row, err error) {
	err = db.QueryRow(ctx, `SELECT state, attempts, coalesce(claim_epoch, 0), error FROM outbox_messages WHERE key = $1`, key).
		Scan(&r.State, &r.Attempts, &r.Epoch, &r.Error)
	return r, err
}

// awaitState waits until a message is in the state.
func (h *house) awaitState(key, state string) row {
	h.t.Helper()
	eventually(h.t, key+" to be "+state, func() bool { return h.row(key).State == state })
	return h.row(key)
}

// skipPauses makes due what waits for its next attempt, as if time had passed,
// and keeps doing so until the end of the test.
func (h *house) skipPauses(w *outbox.Worker) {
	h.background(func(ctx context.Context) {
		for ctx.Err() == nil {
			tag, err := h.pool.Exec(ctx, `UPDATE outbox_messages SET due_at = clock_timestamp()
				WHERE state = 'pending' AND due_at > clock_timestamp()`)
			if err == nil && tag.RowsAffected() > 0 {
				w.Wake()
			}
			pause(ctx, 5*time.Millisecond)
		}
	})
}

func (h *house) exec(sql string, args ...any) {
	h.t.Helper()
	_, err := h.pool.Exec(h.t.Context(), sql, args...)
	h.must(err)
}

func (h *house) count(sql string, args ...any) (n int) {
	h.t.Helper()
	h.must(h.pool.QueryRow(h.t.Context(), sql, args...).Scan(&n))
	return n
}

func (h *house) must(err error) {
	h.t.Helper()
	if err != nil {
		h.t.Fatal(err)
	}
}

// text decodes the arguments of a message made by draft.
func text(t *testing.T, m outbox.Message) (s string) {
	t.Helper()
	if err := json.Unmarshal(m.Args, &s); err != nil {
		t.Errorf("arguments %s: %v", m.Args, err)
	}
	return s
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
