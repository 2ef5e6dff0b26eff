package inbox_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"kiosk/internal/inbox"
)

// crowd is many callers of Store at the same time, who share commits because
// the table is locked while they queue.
type crowd struct {
	*house
	receiver *inbox.Receiver
	stop     func() (done <-chan struct{}) // of the receiver
	unlock   func()

	calls   sync.WaitGroup
	mu      sync.Mutex
	answers map[string]error
}

// first is the key of the message whose commit is under way while others queue.
const first = "first"

// gather empties and locks the table, and occupies a new receiver with a commit.
func (h *house) gather() *crowd {
	h.t.Helper()
	c := &crowd{house: h, answers: map[string]error{}}
	pool, err := pgxpool.New(h.t.Context(), h.url) // its sessions have no lock_timeout
	h.must(err)
	h.t.Cleanup(pool.Close)
	c.receiver, c.stop = h.receiverOn(pool, nil)
	h.t.Cleanup(c.calls.Wait)
	h.exec(`TRUNCATE inbox_messages`)
	c.unlock = h.lockTable()
	c.call(message("first", first))
	c.awaitBlocked(1)
	return c
}

// call stores without waiting for the answer.
func (c *crowd) call(e inbox.Envelope) {
	c.calls.Go(func() {
		err := c.receiver.Store(c.t.Context(), e)
		c.mu.Lock()
		defer c.mu.Unlock()
		c.answers[e.Key] = err
	})
}

// queue stores the messages once all of them wait together.
func (c *crowd) queue(messages ...inbox.Envelope) {
	c.t.Helper()
	for _, e := range messages {
		c.call(e)
	}
	eventually(c.t, "the queue", func() bool { return c.receiver.Queued() == len(messages) })
}

// commits counts the transactions whose rows are in the table.
func (c *crowd) commits() int {
	c.t.Helper()
	return c.count(`SELECT count(DISTINCT xmin::text) FROM inbox_messages`)
}

// stored returns the keys in the table.
func (c *crowd) stored() []string {
	c.t.Helper()
	return value[[]string](c.house, `SELECT coalesce(array_agg(key ORDER BY key), '{}') FROM inbox_messages`)
}

// wantTruth checks that exactly those are stored who were told so, and that the
// others were asked to repeat.
func (c *crowd) wantTruth() {
	c.t.Helper()
	var told []string
	for key, err := range c.answers {
		switch {
		case err == nil:
			told = append(told, key)
		case !errors.Is(err, inbox.ErrBusy) || errors.Is(err, context.DeadlineExceeded):
			c.t.Errorf("%q was answered with %v, want ErrBusy and no waiting", key, err)
		}
	}
	slices.Sort(told)
	if stored := c.stored(); !slices.Equal(stored, told) {
		c.t.Errorf("stored are %q, but told so were %q", stored, told)
	}
}

func TestStore_ConcurrentCallersShareCommits(t *testing.T) {
	t.Parallel()
	c := open(t).gather()
	const n = 200
	var messages []inbox.Envelope
	for i := range n {
		messages = append(messages, message("lane", fmt.Sprint(i)))
	}
	c.queue(messages...)
	c.unlock()
	c.calls.Wait()
	c.wantTruth()
	if got := len(c.stored()); got != n+1 {
		t.Fatalf("%d rows, want %d", got, n+1)
	}
	if commits := c.commits(); commits != 2 { // the first message's, and one for all that waited
		t.Errorf("%d messages took %d commits, want 2", n+1, commits)
	}
}

func TestStore_CommitKeepsTheOrderOfArrival(t *testing.T) {
	t.Parallel()
	c := open(t).gather()
	const n = 20
	for i := range n {
		c.call(message("lane", fmt.Sprint(i)))
		eventually(t, "the queue", func() bool { return c.receiver.Queued() == i+1 })
	}
	c.unlock()
	c.calls.Wait()
	ordered := c.count(`SELECT count(*) FROM inbox_messages a JOIN inbox_messages b ON a.xmin = b.xmin
		WHERE a.lane = 'lane' AND b.lane = 'lane' AND (a.key::integer < b.key::integer) = (a.id < b.id) AND a.id <> b.id`)
	mixed := c.count(`SELECT count(*) FROM inbox_messages a JOIN inbox_messages b ON a.xmin = b.xmin
		WHERE a.lane = 'lane' AND b.lane = 'lane' AND (a.key::integer < b.key::integer) <> (a.id < b.id)`)
	if ordered == 0 || mixed > 0 {
		t.Errorf("of messages in one commit %d pairs are in order and %d are not", ordered, mixed)
	}
}

func TestStore_MessageThatTheDatabaseRefusesHarmsNoOther(t *testing.T) {
	t.Parallel()
	poison := []inbox.Envelope{
		{Source: source, Key: "broken lane", Lane: "\xff\xfe", Body: []byte("x")},
		{Source: source, Key: "nul in the queue", Lane: "lane", Queue: "a\x00b", Body: []byte("x")},
		{Source: source, Key: "no body", Lane: "lane"},
	}
	c := open(t).gather()
	var messages []inbox.Envelope
	for i := range 20 {
		messages = append(messages, message("lane", fmt.Sprint(i)))
	}
	c.queue(slices.Insert(messages, 10, poison...)...)
	c.unlock()
	c.calls.Wait()
	c.wantTruth()
	if got := len(c.stored()); got != 20+1 {
		t.Errorf("%d rows, want %d", got, 20+1)
	}
	for _, e := range poison {
		if c.answers[e.Key] == nil {
			t.Errorf("%q was acknowledged", e.Key)
		}
	}
}

// A stop may come while callers wait. Some are served and some are not, as it
// happens, so it happens several times here.
func TestRun_StopAnswersEveryCallerWithTheTruth(t *testing.T) {
	t.Parallel()
	h := open(t)
	for range 8 {
		c := h.gather()
		var messages []inbox.Envelope
		for i := range 50 {
			messages = append(messages, message("lane", fmt.Sprint(i)))
		}
		c.queue(messages...)
		stopped := c.stop()
		c.unlock()
		receive(t, stopped, "the end of the receiver")
		c.calls.Wait()
		c.wantTruth()
		if err := c.answers[first]; err != nil {
			t.Errorf("the message whose commit was under way was answered with %v", err)
		}
	}
}

// listen counts what an ACTIVE instance is told from now on. The count is taken
// after whatever was sent before it.
func (h *house) listen() (count func() int) {
	h.t.Helper()
	conn, err := pgx.Connect(h.t.Context(), h.url)
	h.must(err)
	h.t.Cleanup(func() { _ = conn.Close(context.WithoutCancel(h.t.Context())) })
	_, err = conn.Exec(h.t.Context(), `LISTEN inbox_messages; LISTEN the_end`)
	h.must(err)
	return func() (n int) {
		h.t.Helper()
		h.exec(`SELECT pg_notify('the_end', '')`)
		for {
			got, err := conn.WaitForNotification(h.t.Context())
			h.must(err)
			if got.Channel == "the_end" {
				return n
			}
			n++
		}
	}
}

// Three commits: the second leaves messages that wait, and relies on the third to
// notify, even if that stores nothing new.
func TestStore_WhileMessagesWaitTheLastCommitNotifiesForAll(t *testing.T) {
	t.Parallel()
	for name, last := range map[string]inbox.Envelope{
		"the last one stores a message": message("lane", "last"),
		"the last one is a repetition":  message("first", first),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := open(t).gather()
			told := c.listen()
			var messages []inbox.Envelope
			for i := range inbox.MaxBatch {
				messages = append(messages, message("lane", fmt.Sprint(i)))
			}
			c.queue(messages...)
			c.call(last)
			eventually(t, "the queue", func() bool { return c.receiver.Queued() == len(messages)+1 })
			c.unlock()
			c.calls.Wait()
			c.wantTruth()
			if n := told(); n != 2 { // by the first commit, when nothing waited, and by the last
				t.Errorf("%d notifications, want 2", n)
			}
		})
	}
}

func TestStore_CallerThatLeavesIsNotToldThatItIsStored(t *testing.T) {
	t.Parallel()
	c := open(t).gather()
	ctx, leave := context.WithCancel(t.Context())
	answer := make(chan error, 1)
	go func() { answer <- c.receiver.Store(ctx, message("lane", "gone")) }()
	eventually(t, "the queue", func() bool { return c.receiver.Queued() == 1 })
	leave()
	if err := receive(t, answer, "the answer"); !errors.Is(err, inbox.ErrBusy) || !errors.Is(err, context.Canceled) {
		t.Errorf("Store = %v", err)
	}
}

func TestStore_RepetitionIsOneMessage(t *testing.T) {
	t.Parallel()
	h := open(t)
	wakes := make(chan struct{}, 10)
	r, _ := h.receiverOn(h.pool, func() { wakes <- struct{}{} })
	other := h.receiver() // another instance
	first := message("lane", "1")
	again := first
	again.Body = []byte("changed on the way")
	h.store(r, first, again)
	h.store(other, again)
	if n := h.count(`SELECT count(*) FROM inbox_messages`); n != 1 {
		t.Fatalf("%d rows, want 1", n)
	}
	if body := value[string](h, `SELECT convert_from(body, 'UTF8') FROM inbox_messages`); body != "1" {
		t.Errorf("the body is %q, want that of the first", body)
	}
	receive(t, wakes, "the wake-up")

	foreign := first
	foreign.Source = "kie" // the same key of another source is another message
	h.store(r, foreign)
	if n := h.count(`SELECT count(*) FROM inbox_messages`); n != 2 {
		t.Errorf("%d rows, want 2", n)
	}
}

func TestStore_RepetitionOfWhatIsDoneStaysDone(t *testing.T) {
	t.Parallel()
	h := open(t)
	r := h.receiver()
	calls := record(remember)
	p := h.process(h.elect("one", ""), calls.handler())
	h.store(r, message("lane", "1"))
	p.Wake()
	h.awaitDone(1)
	h.store(r, message("lane", "1"), message("lane", "2"))
	p.Wake()
	h.awaitDone(2)
	if keys := calls.keys(t, 2); !slices.Equal(keys, []string{"1", "2"}) {
		t.Errorf("handled %v", keys)
	}
	if n := h.count(`SELECT count(*) FROM effects`); n != 2 {
		t.Errorf("%d effects, want 2", n)
	}
}

func TestNewReceiver_RefusesMissingParts(t *testing.T) {
	t.Parallel()
	h := open(t)
	if _, err := inbox.NewReceiver(nil, quiet, unmeasured, nil); err == nil {
		t.Error("a receiver without a database was made")
	}
	if _, err := inbox.NewReceiver(h.pool, nil, unmeasured, nil); err == nil {
		t.Error("a receiver without a log was made")
	}
}
