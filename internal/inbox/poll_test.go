package inbox_test

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"kiosk/internal/inbox"
	"kiosk/internal/pg"
)

// flaky is a database that fails as often as it is told to.
type flaky struct {
	pg.DB
	failures atomic.Int32
}

func (f *flaky) Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error) {
	if f.failures.Add(-1) >= 0 {
		return pgconn.CommandTag{}, errors.New("the database is away")
	}
	return f.DB.Exec(ctx, sql, args...)
}

// queue is a sender that keeps its messages until they are acknowledged, as
// Telegram does: message i of the list has the number i.
type queue struct {
	messages []inbox.Envelope
	offsets  chan int64 // that were asked for
	fails    error      // what the next question fails with
}

func newQueue(keys ...string) *queue {
	q := &queue{offsets: make(chan int64, 1024)}
	for _, k := range keys {
		q.messages = append(q.messages, message("lane", k))
	}
	return q
}

func (q *queue) fetch(ctx context.Context, offset int64) ([]inbox.Envelope, int64, error) {
	q.offsets <- offset
	if err := q.fails; err != nil {
		q.fails = nil
		return nil, 99, err
	}
	if int(offset) >= len(q.messages) {
		<-ctx.Done()
		return nil, offset, ctx.Err()
	}
	end := min(int(offset)+2, len(q.messages))
	return q.messages[offset:end], int64(end), nil
}

// poll runs a poller until the end of the test.
func (h *house) poll(r *inbox.Receiver, q *queue) (stop func()) {
	p := inbox.Poller{Fetch: q.fetch, Receiver: r, Log: quiet}
	return h.background(func(ctx context.Context) {
		if err := p.Run(ctx); err != nil {
			h.t.Error(err)
		}
	})
}

// wantOffsets waits for the questions.
func (q *queue) wantOffsets(t *testing.T, want ...int64) {
	t.Helper()
	var got []int64
	for range want {
		got = append(got, receive(t, q.offsets, "a question"))
	}
	if !slices.Equal(got, want) {
		t.Errorf("asked for %v, want %v", got, want)
	}
}

func (h *house) wantKeys(want ...string) {
	h.t.Helper()
	got := value[[]string](h, `SELECT coalesce(array_agg(key ORDER BY id), '{}') FROM inbox_messages`)
	if !slices.Equal(got, want) {
		h.t.Errorf("stored are %q, want %q", got, want)
	}
}

func TestPoller_AcknowledgesWhatIsStored(t *testing.T) {
	t.Parallel()
	h := open(t)
	q := newQueue("a", "b", "c")
	h.poll(h.receiver(), q)
	q.wantOffsets(t, 0, 2, 3)
	h.wantKeys("a", "b", "c")
}

func TestPoller_WhatWasNotStoredIsNotAcknowledged(t *testing.T) {
	t.Parallel()
	h := open(t)
	db := &flaky{DB: h.pool}
	db.failures.Store(1)
	r, _ := h.receiverOn(db, nil)
	q := newQueue("a", "b", "c")
	h.poll(r, q)
	q.wantOffsets(t, 0, 0, 2, 3)
	h.wantKeys("a", "b", "c")
}

func TestPoller_QuestionThatFailedIsRepeated(t *testing.T) {
	t.Parallel()
	h := open(t)
	q := newQueue("a")
	q.fails = errors.New("the sender is away")
	h.poll(h.receiver(), q)
	q.wantOffsets(t, 0, 0, 1)
	h.wantKeys("a")
}

// The process dies between the commit and the acknowledgement: its successor
// is given the same messages again.
func TestPoller_DeathBeforeTheAcknowledgementCostsNothing(t *testing.T) {
	t.Parallel()
	h := open(t)
	r := h.receiver()
	h.store(r, message("lane", "a"), message("lane", "b"))
	q := newQueue("a", "b", "c")
	h.poll(r, q)
	q.wantOffsets(t, 0, 2, 3)
	h.wantKeys("a", "b", "c")
}

func TestPoller_RefusesMissingParts(t *testing.T) {
	t.Parallel()
	h := open(t)
	whole := inbox.Poller{Fetch: newQueue().fetch, Receiver: h.receiver(), Log: quiet}
	for missing, remove := range map[string]func(*inbox.Poller){
		"fetch":    func(p *inbox.Poller) { p.Fetch = nil },
		"receiver": func(p *inbox.Poller) { p.Receiver = nil },
		"log":      func(p *inbox.Poller) { p.Log = nil },
	} {
		p := whole
		remove(&p)
		if err := p.Run(t.Context()); err == nil {
			t.Errorf("a poller without %s ran", missing)
		}
	}
}
