package outbox_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"kiosk/internal/outbox"
)

// sent returns the keys of the messages sent, in order.
func sent(events []event) (keys []string) {
	for _, e := range events {
		if e.call == "send" {
			keys = append(keys, e.message.Key)
		}
	}
	return keys
}

func TestWorker_HandsOverWhatWasAdded(t *testing.T) {
	t.Parallel()
	s := newSender()
	h, w := start(t, s)
	d := urgent(-100200300, "a")
	h.add(d)
	w.Wake()
	for _, e := range s.next(t, 2) {
		m := e.message
		if m.ID == 0 || m.Key != d.Key || m.ChatID != d.ChatID || m.Kind != d.Kind || text(t, m) != "a" || m.Attempts != 1 || !m.Urgent {
			t.Errorf("%s was called with %+v", e.call, m)
		}
		if e.call == "settle" && (e.receipt != `"of a"` || e.cause != nil) {
			t.Errorf("settled with receipt %s and cause %v", e.receipt, e.cause)
		}
	}
}

// Each message is added when the last has gone out: polling alone would not be
// through with them in time.
func TestWorker_WakeSendsAtOnce(t *testing.T) {
	t.Parallel()
	s := newSender()
	h, w := start(t, s)
	late := time.After(patience)
	for i := range 2 * int(patience/time.Second) {
		h.add(urgent(1, fmt.Sprint(i)))
		w.Wake()
		for range 2 {
			select {
			case <-s.events:
			case <-late:
				t.Fatalf("only %d messages were sent in time", i)
			}
		}
	}
}

// occupancy counts how many messages of a chat are being sent.
type occupancy struct {
	mu    sync.Mutex
	chats map[int64]int
	full  chan struct{} // closed once size chats are occupied
	size  int
	over  <-chan struct{} // the test is
}

func (o *occupancy) send(_ context.Context, m outbox.Message) error {
	o.mu.Lock()
	o.chats[m.ChatID]++
	together := o.chats[m.ChatID]
	if len(o.chats) == o.size {
		close(o.full)
		o.size = -1
	}
	o.mu.Unlock()
	select {
	case <-o.full: // only true parallelism gets past this
	case <-o.over:
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.chats[m.ChatID]--; o.chats[m.ChatID] == 0 {
		delete(o.chats, m.ChatID)
	}
	if together > 1 {
		return fmt.Errorf("%w: another message of the chat is being sent", outbox.ErrUnsendable)
	}
	return nil
}

func TestWorker_ChatsInParallelAndEachInOrder(t *testing.T) {
	t.Parallel()
	const chats, each = 20, 3
	s := newSender()
	s.send = (&occupancy{chats: map[int64]int{}, full: make(chan struct{}), size: chats, over: t.Context().Done()}).send
	h, w := start(t, s)
	for n := range each {
		for chat := range chats {
			h.add(draft(notice, int64(chat), fmt.Sprintf("%d/%d", chat, n)))
		}
	}
	w.Wake()
	position := map[int64]int{}
	for _, e := range s.next(t, 2*chats*each) {
		if e.call == "settle" {
			if e.end != outbox.Sent {
				t.Errorf("%s: %v", e, e.cause)
			}
			continue
		}
		chat := e.message.ChatID
		if want := fmt.Sprintf("%d/%d", chat, position[chat]); e.message.Key != want {
			t.Errorf("chat %d was sent %s, want %s", chat, e.message.Key, want)
		}
		position[chat]++
	}
}

func TestWorker_UrgentMessageOvertakesInItsChat(t *testing.T) {
	t.Parallel()
	s := newSender()
	goOn := make(chan struct{})
	s.send = func(_ context.Context, m outbox.Message) error {
		if m.Key == "slow" {
			select {
			case <-goOn:
			case <-t.Context().Done():
			}
		}
		return nil
	}
	h, w := start(t, s)
	h.add(draft(notice, 1, "slow"), draft(notice, 1, "behind"))
	w.Wake()
	s.want(t, "send slow")
	h.add(urgent(1, "press 1"), urgent(1, "press 2"))
	w.Wake()
	s.want(t, "send press 1", "settle press 1 sent", "send press 2", "settle press 2 sent")
	close(goOn)
	s.want(t, "settle slow sent", "send behind", "settle behind sent")
}

// A chat's burst is used up, and its messages go out one a second.
func TestWorker_PaceOfAChatHoldsBackNoUrgentMessage(t *testing.T) {
	t.Parallel()
	s := newSender()
	h, w := start(t, s)
	const burst, presses = 20, 20
	for i := range 3 * burst {
		h.add(draft(notice, 1, fmt.Sprint(i)))
	}
	w.Wake()
	s.want(t, "send 0")
	last := fmt.Sprint("settle ", burst-1, " sent")
	s.until(t, func(e event) bool { return e.String() == last }, last)
	for i := range presses {
		h.add(urgent(1, fmt.Sprint("press ", i)))
	}
	w.Wake()
	last = fmt.Sprint("send press ", presses-1)
	keys := sent(s.until(t, func(e event) bool { return e.String() == last }, last))
	if others := len(keys) - presses; others > presses/2 {
		t.Errorf("%d presses were answered among %d other messages: they kept to the pace", presses, others)
	}
}

// More chats wait than there are workers, and all keep to the common pace.
func TestWorker_BacklogHoldsBackNoUrgentMessage(t *testing.T) {
	t.Parallel()
	s := newSender()
	h, w := start(t, s)
	const backlog = 400
	h.exec(`INSERT INTO outbox_messages (key, chat_id, kind, args) SELECT 'old ' || n, n, 'notice', '{}' FROM generate_series(1, $1::integer) AS n`, backlog)
	w.Wake()
	s.next(t, 2)
	h.add(urgent(0, "press"))
	w.Wake()
	before := len(sent(s.until(t, func(e event) bool { return e.String() == "send press" }, "the urgent message")))
	if before > backlog/2 {
		t.Errorf("the urgent message waited for %d others", before)
	}
}

func TestWorker_ClaimIsCommittedBeforeTheMessageIsSent(t *testing.T) {
	t.Parallel()
	s := newSender()
	h := open(t)
	rows := make(chan row, 1)
	s.send = func(ctx context.Context, m outbox.Message) error {
		r, err := readRow(ctx, h.pool, m.Key) // on another connection
		rows <- r
		return err
	}
	term := h.elect("one", h.url)
	h.add(draft(notice, 1, "a"))
	h.work(term, s)
	s.want(t, "send a", "settle a sent")
	if r := receive(t, rows, "the row"); r != (row{State: "sending", Attempts: 1, Epoch: term.Epoch()}) {
		t.Errorf("while the message was sent its row was %+v", r)
	}
}

func TestWorker_SettleIsInTheTransactionThatRecordsTheEnd(t *testing.T) {
	t.Parallel()
	s := newSender()
	h := open(t)
	h.exec(`CREATE TABLE receipts (key text)`)
	states := make(chan string, 2)
	s.settle = func(ctx context.Context, tx pgx.Tx, m outbox.Message, _ outbox.State) error {
		for _, db := range []querier{tx, h.pool} {
			r, err := readRow(ctx, db, m.Key)
			if err != nil {
				return err
			}
			states <- r.State
		}
		_, err := tx.Exec(ctx, `INSERT INTO receipts VALUES ($1)`, m.Key)
		return err
	}
	h.add(draft(notice, 1, "a"))
	h.work(h.elect("one", h.url), s)
	h.awaitState("a", "sent")
	if inside, outside := <-states, <-states; inside != "sent" || outside != "sending" {
		t.Errorf("during Settle the row is %s within its transaction and %s without", inside, outside)
	}
	if n := h.count(`SELECT count(*) FROM receipts`); n != 1 {
		t.Errorf("%d receipts, want 1", n)
	}
	if n := h.count(`SELECT count(*) FROM outbox_messages WHERE finished_at >= created_at`); n != 1 {
		t.Error("the message does not say when it ended")
	}
}

// An end that could not be recorded is as good as a lost answer.
func TestWorker_FailureOfSettleRollsTheEndBack(t *testing.T) {
	t.Parallel()
	for kind, c := range map[string]struct {
		failures int
		want     []string
	}{
		notice: {2, []string{"send a", "settle a sent", "settle a unknown", "settle a unknown", "send b", "settle b sent"}},
		edit:   {1, []string{"send a", "settle a sent", "send a", "settle a sent", "send b", "settle b sent"}},
	} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			s := newSender()
			h := open(t)
			h.exec(`CREATE TABLE receipts (key text)`)
			failures := c.failures
			s.settle = func(ctx context.Context, tx pgx.Tx, m outbox.Message, _ outbox.State) error {
				_, err := tx.Exec(ctx, `INSERT INTO receipts VALUES ($1)`, m.Key)
				if failures--; failures >= 0 {
					return errors.New("the receipt cannot be kept")
				}
				return err
			}
			h.add(draft(kind, 1, "a"), draft(kind, 1, "b"))
			h.work(h.elect("one", h.url), s)
			s.want(t, c.want...)
			h.awaitState("b", "sent")
			if n := h.count(`SELECT count(*) FROM receipts`); n != 2 {
				t.Errorf("%d receipts, want one for each message", n)
			}
		})
	}
}

// A Settle that fails every time must neither hold its chat back nor repeat its
// message for ever.
func TestWorker_SettleThatAlwaysFailsIsGivenUp(t *testing.T) {
	t.Parallel()
	for kind, c := range map[string]struct {
		sends int
		end   string
	}{notice: {1, "unknown"}, edit: {5, "sent"}} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			s := newSender()
			s.settle = func(_ context.Context, _ pgx.Tx, m outbox.Message, _ outbox.State) error {
				if m.Key == "a" {
					panic("the receipt cannot be kept")
				}
				return nil
			}
			h, w := start(t, s)
			h.add(draft(kind, 1, "a"), draft(kind, 1, "b"))
			w.Wake()
			events := s.until(t, func(e event) bool { return e.String() == "settle b sent" }, "the next message")
			sends := len(slices.DeleteFunc(sent(events), func(key string) bool { return key != "a" }))
			if settles := len(events) - sends - 2; sends != c.sends || settles != 4 {
				t.Errorf("sent %d times and settled %d times, want %d and 4", sends, settles, c.sends)
			}
			if r := h.row("a"); r.State != c.end || !strings.Contains(r.Error, "could not be recorded") {
				t.Errorf("the row keeps %+v, want %s and the reason", r, c.end)
			}
		})
	}
}

func TestWorker_StopRecordsWhatIsUnderWayAndBeginsNothing(t *testing.T) {
	t.Parallel()
	s := newSender()
	goOn := make(chan struct{})
	s.send = func(context.Context, outbox.Message) error { <-goOn; return nil }
	h := open(t)
	h.add(draft(notice, 1, "a"), draft(notice, 1, "b"))
	_, stop := h.workOn(h.pool, h.elect("one", h.url), s)
	t.Cleanup(func() { close(goOn) })
	s.want(t, "send a")
	stopped := stop() // before the send under way ends, so that nothing may follow it
	goOn <- struct{}{}
	receive(t, stopped, "the end of the worker")
	if a, b := h.row("a"), h.row("b"); a.State != "sent" || b.State != "pending" {
		t.Errorf("after the stop the messages are %+v and %+v", a, b)
	}
}

func TestNewWorker_RefusesMissingParts(t *testing.T) {
	t.Parallel()
	h := open(t)
	term, s := h.elect("one", h.url), newSender()
	for missing, build := range map[string]func() (*outbox.Worker, error){
		"pool": func() (*outbox.Worker, error) { return outbox.NewWorker(nil, term, s, quiet, outbox.NewMetrics(nil)) },
		"term": func() (*outbox.Worker, error) { return outbox.NewWorker(h.pool, nil, s, quiet, outbox.NewMetrics(nil)) },
		"sender": func() (*outbox.Worker, error) {
			return outbox.NewWorker(h.pool, term, nil, quiet, outbox.NewMetrics(nil))
		},
		"log": func() (*outbox.Worker, error) { return outbox.NewWorker(h.pool, term, s, nil, outbox.NewMetrics(nil)) },
	} {
		if w, err := build(); err == nil || w != nil {
			t.Errorf("a worker without %s was made", missing)
		}
	}
}
