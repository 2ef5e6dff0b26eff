package inbox

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"time"

	"github.com/google/uuid"

	"kiosk/internal/pg"
	"kiosk/internal/trace"
)

// Receiver stores messages. Callers that store at the same time share commits.
// It is safe for concurrent use; Run must be running.
type Receiver struct {
	db      pg.DB
	log     *slog.Logger
	metrics *Metrics
	queue   chan *pending
	stored  func()

	// Of the one who commits.
	rest  time.Duration // between two notifications while messages wait
	told  time.Time     // the last notification
	owing bool          // something was stored without one
}

type pending struct {
	envelope Envelope
	done     chan error // buffered
}

const (
	maxBatch     = 256             // messages in one commit
	storeTimeout = 4 * time.Second // well below a sender's patience
	notifyRest   = 10 * time.Millisecond
)

// NewReceiver returns a receiver that stores through db. stored, which may be
// nil, is called after each commit.
func NewReceiver(db pg.DB, log *slog.Logger, m *Metrics, stored func()) (*Receiver, error) {
	if db == nil || log == nil || m == nil {
		return nil, errors.New("inbox: a receiver needs a database, a log and metrics")
	}
	if stored == nil {
		stored = func() {}
	}
	return &Receiver{db: db, log: log, metrics: m, queue: make(chan *pending, 2*maxBatch), stored: stored, rest: notifyRest}, nil
}

// Store returns nil once the message is committed, now or earlier. Any error is
// ErrBusy or the end of ctx: the message may or may not be stored, and the
// sender must repeat it, which is harmless.
func (r *Receiver) Store(ctx context.Context, e Envelope) error {
	start := time.Now()
	err := r.store(ctx, e)
	switch {
	case err != nil:
		r.metrics.count(e.Source, resultBusy)
		return err
	case e.Undecodable:
		r.metrics.count(e.Source, resultUndecodable)
	default:
		r.metrics.count(e.Source, resultStored)
	}
	r.metrics.ack.WithLabelValues(e.Source).Observe(time.Since(start).Seconds())
	return nil
}

func (r *Receiver) store(ctx context.Context, e Envelope) error {
	patience := time.NewTimer(storeTimeout) // a context of its own for each message costs more
	defer patience.Stop()
	if e.Trace == uuid.Nil {
		e.Trace = trace.New()
	}
	p := &pending{envelope: e, done: make(chan error, 1)}
	select {
	case r.queue <- p:
	case <-patience.C:
		return fmt.Errorf("%w: the queue is full", ErrBusy)
	case <-ctx.Done():
		return fmt.Errorf("%w: %w", ErrBusy, ctx.Err())
	}
	select {
	case err := <-p.done:
		return err
	case <-patience.C:
		return fmt.Errorf("%w: %w", ErrBusy, context.DeadlineExceeded)
	case <-ctx.Done():
		return fmt.Errorf("%w: %w", ErrBusy, ctx.Err())
	}
}

// Run commits batches until ctx ends, refuses what is queued then, and returns.
// It commits one batch at a time: while that is under way the next one gathers
// by itself, and two at a time would be smaller and cost more.
func (r *Receiver) Run(ctx context.Context) {
	for ctx.Err() == nil {
		select {
		case p := <-r.queue:
			r.commit(context.WithoutCancel(ctx), append([]*pending{p}, r.queued(maxBatch-1)...))
		case <-ctx.Done():
		}
	}
	for _, p := range r.queued(cap(r.queue)) { // they hear that nothing was stored
		p.done <- ErrBusy
	}
}

// queued takes at most limit messages that wait.
func (r *Receiver) queued(limit int) (batch []*pending) {
	for len(batch) < limit {
		select {
		case p := <-r.queue:
			batch = append(batch, p)
		default:
			return batch
		}
	}
	return batch
}

// commit stores a batch. A message that the database refuses must not harm the
// others, so a refused batch is stored one by one.
func (r *Receiver) commit(ctx context.Context, batch []*pending) {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	err := r.insert(ctx, batch)
	if pg.IsData(err) && len(batch) > 1 {
		for _, p := range batch {
			r.commit(ctx, []*pending{p})
		}
		return
	}
	if err != nil {
		r.log.ErrorContext(ctx, "messages not stored", "count", len(batch), "error", err.Error())
		err = fmt.Errorf("%w: %w", ErrBusy, err)
	}
	for _, p := range batch {
		p.done <- err
	}
	if err == nil {
		r.stored()
	}
}

func (r *Receiver) insert(ctx context.Context, batch []*pending) error {
	n := len(batch)
	sources, keys, lanes, queues := make([]string, n), make([]string, n), make([]string, n), make([]string, n)
	positions, bodies, undecodable, traces := make([]int64, n), make([][]byte, n), make([]bool, n), make([]trace.ID, n)
	for i, p := range batch {
		e := p.envelope
		sources[i], keys[i], lanes[i], queues[i] = e.Source, e.Key, e.Lane, e.Queue
		positions[i], bodies[i], undecodable[i], traces[i] = e.Position, e.Body, e.Undecodable, e.Trace
	}
	enough := r.enough()
	start := time.Now()
	_, err := r.db.Exec(ctx, sqlStore, sources, keys, lanes, queues, positions, bodies, undecodable, enough, traces)
	r.metrics.committed(n, start, err)
	switch {
	case err != nil:
	case enough == never:
		r.owing = true
	default:
		r.told, r.owing = time.Now(), false
	}
	return err
}

const never = math.MaxInt64

// enough is how many fresh messages wake the ACTIVE instance. A notification costs
// as much as a few messages, so under load one serves several commits: the next
// commit follows at once, and makes up for it. Should it fail, a poll does.
func (r *Receiver) enough() int64 {
	switch {
	case len(r.queue) > 0 && time.Since(r.told) < r.rest:
		return never
	case r.owing:
		return 0
	}
	return 1
}
