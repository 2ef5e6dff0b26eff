package inbox_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"kiosk/internal/inbox"
	"kiosk/internal/pg"
	"kiosk/singleton"
)

// openPool opens a pool that belongs to one instance.
func (h *house) openPool(o pg.Options) *pgxpool.Pool {
	h.t.Helper()
	pool, err := pg.Open(h.t.Context(), h.url, o)
	h.must(err)
	h.t.Cleanup(pool.Close)
	return pool
}

// rememberEpoch is the effect of a message, with the term that it happened in.
func rememberEpoch(ctx context.Context, tx pgx.Tx, m inbox.Message, epoch int64) error {
	_, err := tx.Exec(ctx, `INSERT INTO effects (key, epoch) VALUES ($1, $2)`, m.Key, epoch)
	return err
}

func TestProcessor_LostTermCommitsNothingAndTheNextHandlesOnce(t *testing.T) {
	t.Parallel()
	for name, until := range map[string]func(lost, successor context.Context) context.Context{
		"the handler notices":   func(lost, _ context.Context) context.Context { return lost },
		"the process is frozen": func(_, successor context.Context) context.Context { return successor },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := open(t)
			pool := h.openPool(pg.Options{ApplicationName: "first"})
			first := h.elect("one", "first")
			began := make(chan struct{})
			successor, elected := context.WithCancel(t.Context())
			defer elected()
			late := record(func(ctx context.Context, tx pgx.Tx, m inbox.Message) error {
				if err := rememberEpoch(ctx, tx, m, first.Epoch()); err != nil {
					return err
				}
				close(began)
				<-until(ctx, successor).Done()
				return nil // and believes that all is well
			})
			h.store(h.receiver(), message("lane", "1"), message("lane", "2"))
			_, stop := h.processOn(pool, first, late.handler())
			receive(t, began, "the first handler")
			h.endSession()
			second := h.elect("two", "second")
			elected()
			receive(t, stop(), "the end of the first processor")

			h.wantUntouched()
			calls := record(func(ctx context.Context, tx pgx.Tx, m inbox.Message) error {
				return rememberEpoch(ctx, tx, m, second.Epoch())
			})
			h.process(second, calls.handler())
			h.awaitDone(2)
			got := value[string](h, `SELECT string_agg(key || ' in ' || epoch, ', ' ORDER BY key) FROM effects`)
			if want := fmt.Sprintf("1 in %[1]d, 2 in %[1]d", second.Epoch()); got != want {
				t.Errorf("effects: %s; want %s", got, want)
			}
			if keys := late.keys(t, 1); len(late.calls) > 0 {
				t.Errorf("the lost term handled %v and %d more", keys, len(late.calls))
			}
		})
	}
}

// wantUntouched checks that nothing was handled and no attempt was counted.
func (h *house) wantUntouched() {
	h.t.Helper()
	if n := h.count(`SELECT count(*) FROM inbox_messages WHERE state <> 'pending' OR attempts > 0`); n != 0 {
		h.t.Errorf("%d messages were touched", n)
	}
	if n := h.count(`SELECT count(*) FROM effects`); n != 0 {
		h.t.Errorf("%d effects were committed", n)
	}
}

// A frozen process wakes up after its successor has begun, and does not know.
func TestProcessor_FencedTermHandlesNothing(t *testing.T) {
	t.Parallel()
	h := open(t)
	h.store(h.receiver(), message("lane", "1"))
	former := h.elect("one", "")
	h.exec(`UPDATE singleton_fence SET epoch = epoch + 1, term = gen_random_uuid()`) // a new term's first act
	h.must(former.Check())
	calls := record(remember)
	h.process(former, calls.handler())
	receive(t, former.Context().Done(), "the fence")
	if cause := context.Cause(former.Context()); !errors.Is(cause, singleton.ErrFenced) {
		t.Errorf("the former term ended with %v, want ErrFenced", cause)
	}
	h.wantUntouched()
	if len(calls.calls) > 0 {
		t.Error("the former term called the handler")
	}
}

func TestProcessor_StopFinishesTheMessageUnderWayAndBeginsNoOther(t *testing.T) {
	t.Parallel()
	h := open(t)
	began, goOn := make(chan struct{}), make(chan struct{})
	calls := record(func(ctx context.Context, tx pgx.Tx, m inbox.Message) error {
		close(began)
		<-goOn
		return remember(ctx, tx, m)
	})
	h.store(h.receiver(), message("lane", "1"), message("lane", "2"))
	_, stop := h.processOn(h.pool, h.elect("one", ""), calls.handler())
	receive(t, began, "the first message")
	stopped := stop()
	close(goOn)
	receive(t, stopped, "the end of the processor")
	if n := h.count(`SELECT count(*) FROM inbox_messages WHERE key = '1' AND state = 'done'`); n != 1 {
		t.Error("the message under way was not finished")
	}
	if n := h.count(`SELECT count(*) FROM inbox_messages WHERE key = '2' AND state = 'pending'`); n != 1 {
		t.Error("another message was begun")
	}
}

// Each message is stored by another instance when the processor has seen that
// nothing is left: polling alone would not be through with them in time.
func TestListen_MessagesOfAnotherInstanceAreHandledAtOnce(t *testing.T) {
	t.Parallel()
	h := open(t)
	pool, statements := h.countingPool()
	commits, woken := make(chan int64, 1024), make(chan struct{}, 1024)
	handler := record(nil).handler()
	handler.Handled = func() { commits <- statements.Load() }
	p, _ := h.processOn(pool, h.elect("one", ""), handler)
	h.background(func(ctx context.Context) {
		inbox.Listen(ctx, h.pool, func() { woken <- struct{}{}; p.Wake() }, quiet)
	})
	receive(t, woken, "the wake-up for what was stored before")
	other, _ := h.receiverOn(h.openPool(pg.Options{ApplicationName: "other"}), nil)
	const rounds = 2 * int(patience/time.Second)
	late := time.Now().Add(patience)
	for i := range rounds {
		h.store(other, message("lane", fmt.Sprint(i)))
		receive(t, woken, "the wake-up")
		receive(t, commits, "the message")
		done := receive(t, commits, "the end of the lane")
		eventually(t, "the scan after it", func() bool { return statements.Load() > done })
		if time.Now().After(late) {
			t.Fatalf("only %d messages were handled in time", i)
		}
	}
	h.store(other, message("lane", "0")) // a repetition leaves no work
	h.store(other, message("lane", "last"))
	receive(t, woken, "the wake-up")
	h.awaitDone(rounds + 1)
	if len(woken) > 0 {
		t.Error("a repetition woke the ACTIVE instance")
	}
}

// listenerPool is a pool that gives no connection for as long as broken holds.
func (h *house) listenerPool(broken *atomic.Bool) *pgxpool.Pool {
	h.t.Helper()
	cfg, err := pgxpool.ParseConfig(h.url)
	h.must(err)
	cfg.BeforeConnect = func(context.Context, *pgx.ConnConfig) error {
		if broken.Load() {
			return errors.New("no connection for listening")
		}
		return nil
	}
	pool, err := pgxpool.NewWithConfig(h.t.Context(), cfg)
	h.must(err)
	h.t.Cleanup(pool.Close)
	return pool
}

func TestListen_WhileItCannotPollingGoesOnAndLaterItListens(t *testing.T) {
	t.Parallel()
	h := open(t)
	calls := record(nil)
	p := h.process(h.elect("one", ""), calls.handler())
	var broken atomic.Bool
	broken.Store(true)
	pool, woken, log := h.listenerPool(&broken), make(chan struct{}, 100), newLog()
	h.background(func(ctx context.Context) {
		inbox.Listen(ctx, pool, func() { woken <- struct{}{}; p.Wake() }, slog.New(log))
	})
	log.await(t, "polling instead")
	other := h.receiver()
	h.store(other, message("lane", "1"))
	receive(t, calls.calls, "the message found by polling")
	if len(woken) > 0 {
		t.Error("somebody was woken without listening")
	}

	broken.Store(false)
	receive(t, woken, "the wake-up for what was missed")
	h.store(other, message("lane", "2"))
	receive(t, woken, "the wake-up")
	receive(t, calls.calls, "the message")
}

// A message that arrives behind a failed one is due, but its lane is not. A
// message of another source is due, but not here.
func TestProcessor_LanesWithNothingToDoCostNothing(t *testing.T) {
	t.Parallel()
	h := open(t)
	pool, sent := h.countingPool()
	calls := record(func(context.Context, pgx.Tx, inbox.Message) error { return errHandler })
	r := h.receiver()
	foreign := message("foreign", "1")
	foreign.Source = "kie"
	h.store(r, foreign, message("lane", "bad"))
	p, _ := h.processOn(pool, h.elect("one", ""), calls.handler())
	receive(t, calls.calls, "the first attempt")
	eventually(t, "its failure", func() bool { return h.count(`SELECT count(*) FROM inbox_messages WHERE attempts > 0`) == 1 })
	h.store(r, message("lane", "behind"))
	p.Wake()
	receive(t, calls.calls, "the second attempt")
	if n := sent.Load(); n > 50 { // about 10 for an attempt and 5 for a poll
		t.Errorf("two attempts took %d statements", n)
	}
}
