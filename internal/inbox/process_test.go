package inbox_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"kiosk/internal/inbox"
)

// workers is how many lanes a processor works on at the same time.
const workers = 8

var errHandler = errors.New("the handler cannot")

func TestProcessor_OrderWithinALane(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		rule    string
		arrived string // queue:position of each message
		want    string
	}{
		{"arrival order within a queue", "a:1 a:2 a:3", "a:1 a:2 a:3"},
		{"arrival order within a queue, whatever the positions", "a:5 a:3 a:9", "a:5 a:3 a:9"},
		{"positions order the heads of queues", "a:7 b:5 c:6", "b:5 c:6 a:7"},
		{"positions order queues that take turns", "a:1 b:4 a:2 b:5 a:3 a:6", "a:1 a:2 a:3 b:4 b:5 a:6"},
		{"a head holds back what is behind it", "a:7 a:3 b:5 b:6", "b:5 b:6 a:7 a:3"},
		{"equal positions go by arrival", "b:0 a:0 c:0 a:0", "b:0 a:0 c:0 a:0"},
		{"positions may start anew", "a:900 a:1 b:2", "b:2 a:900 a:1"},
	} {
		t.Run(c.rule, func(t *testing.T) {
			t.Parallel()
			h := open(t)
			r := h.receiver()
			arrived := strings.Fields(c.arrived)
			for i, name := range arrived {
				queue, number, _ := strings.Cut(name, ":")
				position, err := strconv.ParseInt(number, 10, 64)
				h.must(err)
				e := message("lane", fmt.Sprint(i))
				e.Queue, e.Position, e.Body = queue, position, []byte(name)
				h.store(r, e)
			}
			calls := record(nil)
			h.process(h.elect("one", ""), calls.handler())
			var got []string
			for range arrived {
				got = append(got, string(receive(t, calls.calls, "the next message").Body))
			}
			if order := strings.Join(got, " "); order != c.want {
				t.Errorf("%s were handled as %s, want %s", c.arrived, order, c.want)
			}
		})
	}
}

// census sees who is handled at the same time.
type census struct {
	mu     sync.Mutex
	inside map[string]int
	order  map[string][]string
	full   chan struct{} // closed once all workers are inside
}

func (c *census) enter(m inbox.Message) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.inside[m.Lane]++
	c.order[m.Lane] = append(c.order[m.Lane], m.Key)
	if len(c.inside) == workers && c.full != nil {
		close(c.full)
		c.full = nil
	}
}

func (c *census) leave(m inbox.Message) (together int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	together = c.inside[m.Lane]
	delete(c.inside, m.Lane)
	return together
}

func TestProcessor_LanesInParallelAndEachInOrder(t *testing.T) {
	t.Parallel()
	h := open(t)
	const lanes, each = 50, 4
	for lane := range lanes {
		h.exec(`INSERT INTO inbox_messages (source, key, lane, body)
			SELECT $1, $2 || '/' || n, $2, '' FROM generate_series(1, $3::integer) AS n`, source, fmt.Sprint(lane), each)
	}
	full := make(chan struct{})
	c := &census{inside: map[string]int{}, order: map[string][]string{}, full: full}
	calls := record(func(ctx context.Context, tx pgx.Tx, m inbox.Message) error {
		c.enter(m)
		select {
		case <-full: // only true parallelism gets past this
		case <-t.Context().Done():
		}
		if together := c.leave(m); together != 1 {
			t.Errorf("%d messages of lane %s at the same time", together, m.Lane)
		}
		return remember(ctx, tx, m)
	})
	h.process(h.elect("one", ""), calls.handler())
	h.awaitDone(lanes * each)
	for lane := range lanes {
		name := fmt.Sprint(lane)
		var want []string
		for n := range each {
			want = append(want, fmt.Sprintf("%s/%d", name, n+1))
		}
		if !slices.Equal(c.order[name], want) {
			t.Errorf("lane %s was handled as %v", name, c.order[name])
		}
	}
	if n := h.count(`SELECT count(DISTINCT key) FROM effects`); n != lanes*each {
		t.Errorf("%d effects, want %d", n, lanes*each)
	}
}

func TestProcessor_EffectsHappenOnceThoughTheHandlerFailsTwice(t *testing.T) {
	t.Parallel()
	h := open(t)
	calls := record(func(ctx context.Context, tx pgx.Tx, m inbox.Message) error {
		if err := remember(ctx, tx, m); err != nil || m.Attempts == 2 {
			return err
		}
		return errHandler
	})
	p := h.process(h.elect("one", ""), calls.handler())
	h.skipPauses(p)
	h.store(h.receiver(), message("lane", "1"))
	p.Wake()
	h.awaitDone(1)
	for attempt := range 3 {
		if m := receive(t, calls.calls, "a call"); m.Attempts != attempt {
			t.Errorf("call %d says that %d attempts failed before", attempt+1, m.Attempts)
		}
	}
	if n := h.count(`SELECT count(*) FROM effects`); n != 1 {
		t.Errorf("%d effects, want 1", n)
	}
	if n := h.count(`SELECT count(*) FROM inbox_messages WHERE attempts = 2 AND error = '' AND done_at IS NOT NULL`); n != 1 {
		t.Error("the message does not tell what happened to it")
	}
}

// lastWord is what SetAside saw.
type lastWord struct {
	inside, outside string // the message's state within its transaction and without
	attempts        int
}

func (h *house) setAside(words chan<- lastWord) func(context.Context, pgx.Tx, inbox.Message) error {
	return func(ctx context.Context, tx pgx.Tx, m inbox.Message) error {
		const state = `SELECT state FROM inbox_messages WHERE id = $1`
		w := lastWord{attempts: m.Attempts}
		if err := tx.QueryRow(ctx, state, m.ID).Scan(&w.inside); err != nil {
			return err
		}
		if err := h.pool.QueryRow(ctx, state, m.ID).Scan(&w.outside); err != nil {
			return err
		}
		words <- w
		_, err := tx.Exec(ctx, `INSERT INTO effects (key) VALUES ('sorry')`)
		return err
	}
}

func TestProcessor_LaneWaitsForAFailingMessageUntilItIsSetAside(t *testing.T) {
	t.Parallel()
	h := open(t)
	calls := record(func(ctx context.Context, tx pgx.Tx, m inbox.Message) error {
		if m.Key == "bad" {
			_ = remember(ctx, tx, m)
			return errHandler
		}
		return remember(ctx, tx, m)
	})
	words := make(chan lastWord, 10)
	handler := calls.handler()
	handler.SetAside = h.setAside(words)
	h.store(h.receiver(), message("lane", "bad"), message("lane", "next"), message("lane", "last"))
	p := h.process(h.elect("one", ""), handler)
	h.skipPauses(p)
	h.awaitDone(2)

	want := []string{"bad", "bad", "bad", "bad", "bad", "next", "last"}
	if keys := calls.keys(t, len(want)); !slices.Equal(keys, want) || len(calls.calls) > 0 {
		t.Errorf("handled %v and %d more, want %v", keys, len(calls.calls), want)
	}
	if w := receive(t, words, "the last word"); w != (lastWord{"failed", "pending", 4}) || len(words) > 0 {
		t.Errorf("set aside as %+v and %d more times", w, len(words))
	}
	if got := value[[]string](h, `SELECT array_agg(key) FROM effects`); !slices.Equal(got, []string{"sorry", "next", "last"}) {
		t.Errorf("the effects are %v", got)
	}
	kept := h.count(`SELECT count(*) FROM inbox_messages WHERE key = 'bad' AND state = 'failed' AND attempts = 5 AND error = $1`, errHandler.Error())
	if kept != 1 {
		t.Error("the failed message and its error are not kept")
	}
}

func TestProcessor_FailedMessageRestsWithItsLaneAndOtherLanesGoOn(t *testing.T) {
	t.Parallel()
	h := open(t)
	h.exec(`CREATE FUNCTION rest() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.due_at := 'infinity'; RETURN NEW; END $$`)
	h.exec(`CREATE TRIGGER rest BEFORE UPDATE ON inbox_messages FOR EACH ROW
		WHEN (NEW.attempts > OLD.attempts) EXECUTE FUNCTION rest()`) // pauses never end
	calls := record(func(_ context.Context, _ pgx.Tx, m inbox.Message) error {
		if m.Key == "bad" {
			return errHandler
		}
		return nil
	})
	r := h.receiver()
	p := h.process(h.elect("one", ""), calls.handler())
	h.store(r, message("lane", "bad"), message("lane", "behind"))
	p.Wake()
	want := []string{"bad"}
	for i := range 5 {
		other := fmt.Sprint("other ", i)
		h.store(r, message("lane", "behind "+other), message("other lane", other))
		p.Wake()
		h.awaitDone(i + 1)
		want = append(want, other)
	}
	keys := calls.keys(t, len(want))
	slices.Sort(keys)
	if !slices.Equal(keys, want) || len(calls.calls) > 0 {
		t.Errorf("handled %v and %d more, want %v", keys, len(calls.calls), want)
	}
}

func TestProcessor_PausesGrowWithTheAttempts(t *testing.T) {
	t.Parallel()
	h := open(t)
	h.exec(`CREATE TABLE pauses (attempt integer, pause interval)`)
	h.exec(`CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS
		$$ BEGIN INSERT INTO pauses VALUES (NEW.attempts, NEW.due_at - clock_timestamp()); RETURN NEW; END $$`)
	h.exec(`CREATE TRIGGER note AFTER UPDATE ON inbox_messages FOR EACH ROW
		WHEN (NEW.attempts > OLD.attempts AND NEW.state = 'pending') EXECUTE FUNCTION note()`)
	h.store(h.receiver(), message("lane", "bad"))
	h.skipPauses(h.process(h.elect("one", ""), record(func(context.Context, pgx.Tx, inbox.Message) error { return errHandler }).handler()))
	eventually(t, "the failed message", func() bool {
		return h.count(`SELECT count(*) FROM inbox_messages WHERE state = 'failed'`) == 1
	})
	pauses := value[[]time.Duration](h, `SELECT array_agg(pause ORDER BY attempt) FROM pauses`)
	if len(pauses) != 4 || pauses[0] <= 0 || pauses[1] <= pauses[0] || pauses[2] <= pauses[1] || pauses[3] <= pauses[2] {
		t.Errorf("the pauses are %v, want one after each attempt but the last, and each longer than the one before", pauses)
	}
}

func TestProcessor_MessageIsSetAsideAgainWhenThatFailed(t *testing.T) {
	t.Parallel()
	h := open(t)
	words := make(chan lastWord, 10)
	handler := record(func(context.Context, pgx.Tx, inbox.Message) error { return errHandler }).handler()
	setAside, calls := h.setAside(words), 0
	ends := []func() error{
		func() error { panic("cannot speak") },
		func() error { return nil },
	}
	handler.SetAside = func(ctx context.Context, tx pgx.Tx, m inbox.Message) error {
		if err := setAside(ctx, tx, m); err != nil {
			return err
		}
		calls++
		return ends[calls-1]()
	}
	h.store(h.receiver(), message("lane", "1"))
	h.skipPauses(h.process(h.elect("one", ""), handler))
	for range ends {
		if w := receive(t, words, "the last word"); w != (lastWord{"failed", "pending", 4}) {
			t.Errorf("set aside as %+v", w)
		}
	}
	eventually(t, "the failed message", func() bool {
		return h.count(`SELECT count(*) FROM inbox_messages WHERE state = 'failed' AND attempts = 5`) == 1
	})
	if n := h.count(`SELECT count(*) FROM effects`); n != 1 {
		t.Errorf("the person was told %d times, want once", n)
	}
}

func TestProcessor_TroubleOfOneMessageIsItsOwn(t *testing.T) {
	t.Parallel()
	for name, trouble := range map[string]struct {
		do   func() error
		text string // is kept
	}{
		"panic":                       {func() error { panic("out of luck") }, "handler panicked: out of luck"},
		"panic with nil":              {func() error { panic(nil) }, "handler panicked: "},
		"error that is not text":      {func() error { return errors.New("a\x00b\xff") }, "a?b?"},
		"error that no row was found": {func() error { return fmt.Errorf("read: %w", pgx.ErrNoRows) }, "read: no rows in result set"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := open(t)
			calls := record(func(_ context.Context, _ pgx.Tx, m inbox.Message) error {
				if m.Key == "bad" {
					return trouble.do()
				}
				return nil
			})
			h.store(h.receiver(), message("lane", "bad"), message("lane", "good"))
			h.skipPauses(h.process(h.elect("one", ""), calls.handler()))
			h.awaitDone(1)
			if text := value[string](h, `SELECT error FROM inbox_messages WHERE state = 'failed'`); !strings.HasPrefix(text, trouble.text) {
				t.Errorf("the error kept is %q, want %q", text, trouble.text)
			}
		})
	}
}

// The database ends the session in the middle of a handler, as a restart does.
func TestProcessor_PassingErrorCostsNoAttempt(t *testing.T) {
	t.Parallel()
	h := open(t)
	first := make(chan struct{}, 1)
	first <- struct{}{}
	calls := record(func(ctx context.Context, tx pgx.Tx, m inbox.Message) error {
		select {
		case <-first:
			_ = remember(ctx, tx, m)
			_, err := tx.Exec(ctx, `SELECT pg_terminate_backend(pg_backend_pid())`)
			return fmt.Errorf("count: %w", err)
		default:
			return remember(ctx, tx, m)
		}
	})
	h.store(h.receiver(), message("lane", "1"))
	h.process(h.elect("one", ""), calls.handler())
	h.awaitDone(1)
	calls.keys(t, 2)
	if n := h.count(`SELECT count(*) FROM inbox_messages WHERE attempts = 0`); n != 1 {
		t.Error("the attempt was counted")
	}
	if n := h.count(`SELECT count(*) FROM effects`); n != 1 {
		t.Errorf("%d effects, want 1", n)
	}
}

// The time limit of statements is passing on a busy server, and is not for a handler
// that is too slow every time.
func TestProcessor_HandlerThatIsAlwaysTooSlowIsSetAside(t *testing.T) {
	t.Parallel()
	h := open(t)
	calls := record(func(ctx context.Context, tx pgx.Tx, m inbox.Message) error {
		if m.Key != "slow" {
			return remember(ctx, tx, m)
		}
		_, err := tx.Exec(ctx, `SET LOCAL statement_timeout = '20ms'; SELECT pg_sleep(60)`)
		return fmt.Errorf("count: %w", err)
	})
	h.store(h.receiver(), message("lane", "slow"), message("lane", "next"))
	p := h.process(h.elect("one", ""), calls.handler())
	h.skipPauses(p)
	h.awaitDone(1)
	want := []string{"slow", "slow", "slow", "slow", "slow", "next"}
	if keys := calls.keys(t, len(want)); !slices.Equal(keys, want) {
		t.Errorf("handled %v, want %v", keys, want)
	}
	if n := h.count(`SELECT count(*) FROM inbox_messages WHERE key = 'slow' AND state = 'failed' AND error LIKE '%statement timeout%'`); n != 1 {
		t.Error("the slow message was not set aside with its reason")
	}
}

func TestProcessor_HandledIsCalledAfterTheCommit(t *testing.T) {
	t.Parallel()
	h := open(t)
	effects := make(chan int, 10)
	handler := record(remember).handler()
	handler.Handled = func() {
		var n int
		if err := h.pool.QueryRow(context.WithoutCancel(t.Context()), `SELECT count(*) FROM effects`).Scan(&n); err != nil {
			t.Error(err)
		}
		effects <- n
	}
	h.store(h.receiver(), message("lane", "1"))
	h.process(h.elect("one", ""), handler)
	if n := receive(t, effects, "the first commit"); n != 1 {
		t.Errorf("%d effects were committed, want 1", n)
	}
}

func TestProcessor_TakesMessagesOfItsSourceOnly(t *testing.T) {
	t.Parallel()
	h := open(t)
	calls := record(nil)
	foreign := message("lane", "foreign")
	foreign.Source = "kie"
	h.store(h.receiver(), foreign, message("lane", "own"))
	h.process(h.elect("one", ""), calls.handler())
	h.awaitDone(1)
	if m := receive(t, calls.calls, "a call"); m.Key != "own" || m.Source != source || m.Lane != "lane" || string(m.Body) != "own" {
		t.Errorf("handled %+v", m)
	}
	if n := h.count(`SELECT count(*) FROM inbox_messages WHERE key = 'foreign' AND state = 'pending'`); n != 1 {
		t.Error("the message of another source was touched")
	}
}

func TestNewProcessor_RefusesMissingParts(t *testing.T) {
	t.Parallel()
	h := open(t)
	term, handler := h.elect("one", ""), record(nil).handler()
	for missing, build := range map[string]func() (*inbox.Processor, error){
		"source": func() (*inbox.Processor, error) {
			return inbox.NewProcessor("", h.pool, term, handler, quiet, unmeasured)
		},
		"pool": func() (*inbox.Processor, error) {
			return inbox.NewProcessor(source, nil, term, handler, quiet, unmeasured)
		},
		"term": func() (*inbox.Processor, error) {
			return inbox.NewProcessor(source, h.pool, nil, handler, quiet, unmeasured)
		},
		"handler": func() (*inbox.Processor, error) {
			return inbox.NewProcessor(source, h.pool, term, inbox.Handler{}, quiet, unmeasured)
		},
		"log": func() (*inbox.Processor, error) {
			return inbox.NewProcessor(source, h.pool, term, handler, nil, unmeasured)
		},
	} {
		if p, err := build(); err == nil || p != nil {
			t.Errorf("a processor without %s was made", missing)
		}
	}
}

func TestReadStats_CountsByState(t *testing.T) {
	t.Parallel()
	h := open(t)
	want := func(want inbox.Stats) {
		t.Helper()
		got, err := inbox.ReadStats(t.Context(), h.pool)
		h.must(err)
		if older := got.OldestSeconds - want.OldestSeconds; older > 0 && older < 3600 {
			got.OldestSeconds = want.OldestSeconds // time has passed
		}
		if (got.LateSeconds > 0) == (want.Pending > 0) {
			got.LateSeconds = 0 // what waits is late by some milliseconds
		}
		if got != want {
			t.Errorf("counts %+v, want %+v", got, want)
		}
	}
	want(inbox.Stats{})
	h.exec(`INSERT INTO inbox_messages (source, key, lane, body, state, received_at)
		SELECT $1, state || n, 'lane', '', state, clock_timestamp() - age
		FROM (VALUES ('pending', 2, interval '1 minute'), ('failed', 3, '1 day'), ('undecodable', 4, '1 day'), ('done', 5, '1 day'))
		     AS a (state, times, age), generate_series(1, times) AS n`, source)
	want(inbox.Stats{Pending: 2, OldestSeconds: 60, Failed: 3, FailedRecent: 3, Undecodable: 4})
	h.exec(`UPDATE inbox_messages SET due_at = clock_timestamp() - interval '2 hours' WHERE key = 'failed1'`)
	want(inbox.Stats{Pending: 2, OldestSeconds: 60, Failed: 3, FailedRecent: 2, Undecodable: 4})
}
