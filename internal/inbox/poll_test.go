package inbox_test

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"kiosk/internal/fault"
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
	if int(offset) >= len(q.messages) {
		<-ctx.Done()
		return nil, offset, ctx.Err()
	}
	end := min(int(offset)+2, len(q.messages))
	return q.messages[offset:end], int64(end), nil
}

// poll runs a poller until the end of the test.
func (h *house) poll(r *inbox.Receiver, q *queue) {
	p := inbox.Poller{Fetch: q.fetch, Receiver: r, Log: quiet}
	h.background(func(ctx context.Context) {
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

// reply is a sender's answer to one question, without messages.
type reply struct {
	takes time.Duration
	err   error
}

// pollInBubble runs a poller in virtual time until the replies are used up, and
// returns how long it paused after each.
func pollInBubble(t *testing.T, log slog.Handler, replies ...reply) (pauses []time.Duration) {
	t.Helper()
	receiver, err := inbox.NewReceiver(&flaky{}, quiet, unmeasured, nil) // there is nothing to store
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	var answered time.Time
	p := inbox.Poller{Receiver: receiver, Log: slog.New(log), Fetch: func(_ context.Context, offset int64) ([]inbox.Envelope, int64, error) {
		if offset != 0 {
			t.Errorf("asked for %d", offset)
		}
		if !answered.IsZero() {
			pauses = append(pauses, time.Since(answered))
		}
		if len(pauses) == len(replies) {
			stop()
			return nil, offset, ctx.Err()
		}
		r := replies[len(pauses)]
		time.Sleep(r.takes)
		answered = time.Now()
		if r.err != nil {
			offset = 99 // says nothing, for it comes with an error
		}
		return nil, offset, r.err
	}}
	if err := p.Run(ctx); err != nil {
		t.Error(err)
	}
	return pauses
}

var errSenderAway = errors.New("the sender is away")

func TestPoller_PausesBeforeItAsksAgain(t *testing.T) {
	t.Parallel()
	advice := fault.Wrap(errSenderAway, fault.Unavailable, "busy")
	for name, c := range map[string]struct {
		reply reply
		want  time.Duration
	}{
		"after an error":                    {reply{0, errSenderAway}, 2 * time.Second},
		"after an error that came late":     {reply{time.Minute, errSenderAway}, 2 * time.Second},
		"for as long as the sender asks":    {reply{0, advice.After(time.Minute)}, time.Minute},
		"never shorter than after an error": {reply{0, advice.After(time.Millisecond)}, 2 * time.Second},
		"after nothing that came at once":   {reply{0, nil}, 100 * time.Millisecond},
		"not when the sender has waited":    {reply{25 * time.Second, nil}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				if pauses := pollInBubble(t, slog.DiscardHandler, c.reply); pauses[0] != c.want {
					t.Errorf("paused for %s, want %s", pauses[0], c.want)
				}
			})
		})
	}
}

func TestPoller_TellsOfATroubleOnceUntilItIsOver(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		log := newLog()
		bad, good, other := reply{0, errSenderAway}, reply{6 * time.Second, nil}, reply{0, errHandler}
		pollInBubble(t, log, bad, bad, good, bad /* it comes and goes */, good, good /* it is over */, bad, other)
		close(log.lines)
		var lines []string
		for l := range log.lines {
			lines = append(lines, l)
		}
		if want := []string{"polling fails", "polling works again", "polling fails", "polling fails"}; !slices.Equal(lines, want) {
			t.Errorf("the log says %q, want %q", lines, want)
		}
	})
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
