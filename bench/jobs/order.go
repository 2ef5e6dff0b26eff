package main

import (
	"context"
	_ "embed"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"kiosk/singleton"
)

//go:embed sql/schema.sql
var sqlSchema string

//go:embed sql/empty.sql
var sqlEmpty string

//go:embed sql/insert.sql
var sqlInsert string

//go:embed sql/get.sql
var sqlGet string

//go:embed sql/lock.sql
var sqlLock string

//go:embed sql/move.sql
var sqlMove string

// pollAgain is how long a task of the provider takes at least.
const pollAgain = 50 * time.Millisecond

// The states that an order of the benchmark passes.
const (
	held      = "held"
	running   = "running"
	succeeded = "succeeded"
)

// orders is what both systems do with an order, and all that is measured of it.
type orders struct {
	pool     *pgxpool.Pool
	term     *singleton.Term
	patient  bool           // the provider says "not yet" once
	finished chan time.Time // one per finished order
	failures atomic.Int64

	mu      sync.Mutex
	started map[uuid.UUID]time.Time // when a worker first saw it
	asked   map[uuid.UUID]time.Time // when its provider was asked first
	late    []time.Duration         // how late they were asked again
}

// newOrders returns the books for at most n orders.
func newOrders(pool *pgxpool.Pool, term *singleton.Term, patient bool, n int) *orders {
	return &orders{
		pool: pool, term: term, patient: patient, finished: make(chan time.Time, n),
		started: map[uuid.UUID]time.Time{}, asked: map[uuid.UUID]time.Time{},
	}
}

// insert is the order itself, in the transaction that also wakes.
func (o *orders) insert(ctx context.Context, tx pgx.Tx, id uuid.UUID) error {
	if _, err := tx.Exec(ctx, sqlInsert, id, "bench:"+id.String(), int64(id.ID())); err != nil {
		return fmt.Errorf("insert an order: %w", err)
	}
	return nil
}

// begin notes that a worker has the order.
func (o *orders) begin(id uuid.UUID) {
	now := time.Now()
	o.mu.Lock()
	defer o.mu.Unlock()
	if _, again := o.started[id]; !again {
		o.started[id] = now
	}
}

// ready asks the simulated provider whether the order's task is done.
func (o *orders) ready(id uuid.UUID) bool {
	now := time.Now()
	o.mu.Lock()
	defer o.mu.Unlock()
	first, again := o.asked[id]
	if !again {
		o.asked[id] = now
		return !o.patient
	}
	o.late = append(o.late, now.Sub(first)-pollAgain)
	return true
}

// move makes a transition in a fenced transaction, together with also, if set.
func (o *orders) move(ctx context.Context, id uuid.UUID, from, to string, also func(pgx.Tx) error) error {
	err := o.locked(ctx, id, func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, sqlMove, id, from, to, o.term.Epoch())
		if err != nil {
			return fmt.Errorf("move an order: %w", err)
		}
		if tag.RowsAffected() != 1 {
			return fmt.Errorf("order %s was not %s", id, from)
		}
		if also == nil {
			return nil
		}
		return also(tx)
	})
	if err == nil && to == succeeded {
		o.finished <- time.Now()
	}
	return err
}

// locked runs fn in a fenced transaction that has locked the order.
func (o *orders) locked(ctx context.Context, id uuid.UUID, fn func(pgx.Tx) error) error {
	return o.term.InTx(ctx, o.pool, func(tx pgx.Tx) error {
		var state string
		if err := tx.QueryRow(ctx, sqlLock, id).Scan(&state); err != nil {
			return fmt.Errorf("lock an order: %w", err)
		}
		return fn(tx)
	})
}

// fail counts what a worker could not do. One failure makes the run worthless.
func (o *orders) fail(err error) error {
	if err != nil {
		o.failures.Add(1)
	}
	return err
}

// await returns when the next n orders finished, in order.
func (o *orders) await(ctx context.Context, n int) ([]time.Time, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	times := make([]time.Time, 0, n)
	for len(times) < n {
		select {
		case t := <-o.finished:
			times = append(times, t)
		case <-ctx.Done():
			return nil, fmt.Errorf("%d of %d orders finished, and %d steps failed: %w", len(times), n, o.failures.Load(), ctx.Err())
		}
	}
	if failed := o.failures.Load(); failed > 0 {
		return nil, fmt.Errorf("%d steps failed; the figures would mean nothing", failed)
	}
	return times, nil
}
