package main

import (
	"context"
	_ "embed"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"kiosk/internal/lane"
)

//go:embed sql/due.sql
var sqlDue string

//go:embed sql/get_due.sql
var sqlGetDue string

//go:embed sql/postpone.sql
var sqlPostpone string

// dueColumn is the product's way: a due time in the order's own row, taken by
// the lane runner. Its worker has the shape of the product's.
type dueColumn struct {
	*orders
	runner *lane.Runner[uuid.UUID]
}

func newDueColumn(o *orders, workers int) (system, error) {
	d := &dueColumn{orders: o}
	var err error
	d.runner, err = lane.New(lane.Config[uuid.UUID]{
		Name: "bench", Workers: workers, Poll: time.Second, Due: d.due, Work: d.step,
	})
	return d, err
}

func (d *dueColumn) run(ctx context.Context) error {
	d.runner.Run(ctx, context.WithoutCancel(ctx))
	return nil
}

func (d *dueColumn) place(ctx context.Context, id uuid.UUID) (committed time.Time, err error) {
	err = pgx.BeginFunc(ctx, d.pool, func(tx pgx.Tx) error { return d.insert(ctx, tx, id) })
	committed = time.Now()
	d.runner.Wake()
	return committed, err
}

func (d *dueColumn) due(ctx context.Context, busy []uuid.UUID, limit int) ([]lane.Due[uuid.UUID], error) {
	rows, err := d.pool.Query(ctx, sqlDue, busy, limit)
	if err != nil {
		return nil, d.fail(fmt.Errorf("list due orders: %w", err))
	}
	return pgx.CollectRows(rows, pgx.RowToStructByPos[lane.Due[uuid.UUID]])
}

func (d *dueColumn) step(ctx context.Context, id uuid.UUID) (more bool, err error) {
	d.begin(id)
	var state string
	var due bool
	if err := d.pool.QueryRow(ctx, sqlGetDue, id).Scan(&state, &due); err != nil {
		return false, d.fail(fmt.Errorf("read an order: %w", err))
	}
	switch {
	case !due || state == succeeded:
		return false, nil
	case state == held:
		return true, d.fail(d.move(ctx, id, held, running, nil))
	case d.ready(id):
		return true, d.fail(d.move(ctx, id, running, succeeded, nil))
	}
	return true, d.fail(d.postpone(ctx, id))
}

func (d *dueColumn) postpone(ctx context.Context, id uuid.UUID) error {
	return d.locked(ctx, id, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, sqlPostpone, id, pollAgain.Milliseconds())
		return err
	})
}
