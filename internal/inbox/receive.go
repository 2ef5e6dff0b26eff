package inbox

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"kiosk/internal/pg"
)

// Receiver stores messages. Callers that store at the same time share commits.
// It is safe for concurrent use; Run must be running.
type Receiver struct {
	db      pg.DB
	log     *slog.Logger
	metrics *Metrics
	queue   chan *pending
	stored  func()
}

type pending struct {
	envelope Envelope
	done     chan error // buffered
}

const (
	maxBatch     = 256             // messages in one commit
	writers      = 2               // commits under way at the same time
	storeTimeout = 4 * time.Second // well below a sender's patience
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
	return &Receiver{db: db, log: log, metrics: m, queue: make(chan *pending, maxBatch), stored: stored}, nil
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
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	p := &pending{envelope: e, done: make(chan error, 1)}
	select {
	case r.queue <- p:
	case <-ctx.Done():
		return fmt.Errorf("%w: the queue is full", ErrBusy)
	}
	select {
	case err := <-p.done:
		return err
	case <-ctx.Done():
		return fmt.Errorf("%w: %w", ErrBusy, ctx.Err())
	}
}

// Run commits batches until ctx ends, refuses what is queued then, and returns.
func (r *Receiver) Run(ctx context.Context) {
	var w sync.WaitGroup
	for range writers {
		w.Go(func() { r.write(ctx) })
	}
	w.Wait()
	for { // whoever queued during the stop hears that nothing was stored
		select {
		case p := <-r.queue:
			p.done <- ErrBusy
		default:
			return
		}
	}
}

// write commits whatever is queued, as one batch, again and again. While one
// commit is under way the next batch gathers by itself.
func (r *Receiver) write(ctx context.Context) {
	for {
		var batch []*pending
		select {
		case p := <-r.queue:
			batch = append(batch, p)
		case <-ctx.Done():
			return
		}
		for len(batch) < maxBatch {
			select {
			case p := <-r.queue:
				batch = append(batch, p)
				continue
			default:
			}
			break
		}
		r.commit(context.WithoutCancel(ctx), batch)
	}
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
		r.log.Error("messages not stored", "count", len(batch), "error", err.Error())
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
	positions, bodies, undecodable := make([]int64, n), make([][]byte, n), make([]bool, n)
	for i, p := range batch {
		e := p.envelope
		sources[i], keys[i], lanes[i], queues[i] = e.Source, e.Key, e.Lane, e.Queue
		positions[i], bodies[i], undecodable[i] = e.Position, e.Body, e.Undecodable
	}
	start := time.Now()
	_, err := r.db.Exec(ctx, sqlStore, sources, keys, lanes, queues, positions, bodies, undecodable)
	r.metrics.committed(n, start, err)
	return err
}
