package main

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivermigrate"
)

// orderArgs is the job of one order.
type orderArgs struct {
	ID uuid.UUID `json:"id"`
}

// Kind names the job.
func (orderArgs) Kind() string { return "order" }

// riverQueue wakes workers by River, as its documentation says: jobs are
// inserted in the order's transaction, snoozed, and completed in the
// transaction of the last transition.
type riverQueue struct {
	*orders
	client *river.Client[pgx.Tx]
}

// riverSettings are what differs between the River variants; zero values are
// River's defaults.
type riverSettings struct {
	pollOnly       bool
	cooldown, poll time.Duration
}

func newRiverQueue(o *orders, workers int, s riverSettings) (system, error) {
	q := &riverQueue{orders: o}
	bundle := river.NewWorkers()
	if err := river.AddWorkerSafely(bundle, &riverWorker{orders: o}); err != nil {
		return nil, fmt.Errorf("register the worker: %w", err)
	}
	var err error
	q.client, err = river.NewClient(riverpgxv5.New(o.pool), &river.Config{
		Queues:            map[string]river.QueueConfig{river.QueueDefault: {MaxWorkers: workers}},
		Workers:           bundle,
		PollOnly:          s.pollOnly,
		FetchCooldown:     s.cooldown,
		FetchPollInterval: s.poll,
		Logger:            slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return nil, fmt.Errorf("make the client: %w", err)
	}
	return q, nil
}

func migrateRiver(ctx context.Context, pool *pgxpool.Pool) error {
	m, err := rivermigrate.New(riverpgxv5.New(pool), nil)
	if err != nil {
		return err
	}
	_, err = m.Migrate(ctx, rivermigrate.DirectionUp, nil)
	return err
}

func (q *riverQueue) run(ctx context.Context) error {
	hard := context.WithoutCancel(ctx)
	if err := q.client.Start(hard); err != nil {
		return fmt.Errorf("start the client: %w", err)
	}
	<-ctx.Done()
	if err := q.client.Stop(hard); err != nil {
		return fmt.Errorf("stop the client: %w", err)
	}
	return nil
}

func (q *riverQueue) place(ctx context.Context, id uuid.UUID) (committed time.Time, err error) {
	err = pgx.BeginFunc(ctx, q.pool, func(tx pgx.Tx) error {
		if err := q.insert(ctx, tx, id); err != nil {
			return err
		}
		_, err := q.client.InsertTx(ctx, tx, orderArgs{ID: id}, nil)
		return err
	})
	return time.Now(), err
}

// riverWorker brings one order forward until it must wait.
type riverWorker struct {
	river.WorkerDefaults[orderArgs]
	*orders
}

// Work is called by River for every attempt.
func (w *riverWorker) Work(ctx context.Context, job *river.Job[orderArgs]) error {
	id := job.Args.ID
	w.begin(id)
	var state string
	if err := w.pool.QueryRow(ctx, sqlGet, id).Scan(&state); err != nil {
		return w.fail(fmt.Errorf("read an order: %w", err))
	}
	if state == held {
		if err := w.move(ctx, id, held, running, nil); err != nil {
			return w.fail(err)
		}
	}
	if !w.ready(id) {
		return river.JobSnooze(pollAgain)
	}
	return w.fail(w.move(ctx, id, running, succeeded, func(tx pgx.Tx) error {
		_, err := river.JobCompleteTx[*riverpgxv5.Driver](ctx, tx, job)
		return err
	}))
}
