package rig

import (
	"context"
	_ "embed"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

//go:embed sql/counters.sql
var sqlCounters string

//go:embed sql/idle.sql
var sqlIdle string

// Counters are what the server has done, or the difference of two readings.
type Counters struct {
	WAL     int64 // bytes, of the whole server
	Commits int64 // transactions of the database, with those that only read
	Rows    int64 // inserted, updated or deleted in one schema
	Size    int64 // bytes of that schema's tables and indexes
}

// Sub returns what happened since before.
func (c Counters) Sub(before Counters) Counters {
	return Counters{
		WAL: c.WAL - before.WAL, Commits: c.Commits - before.Commits, Rows: c.Rows - before.Rows,
		Size: c.Size - before.Size,
	}
}

// Counters reads the counters once all pools of the benchmark are closed and
// their sessions have reported.
func (d *Database) Counters(ctx context.Context, schema string) (Counters, error) {
	var c Counters
	conn, err := pgx.Connect(ctx, d.url)
	if err != nil {
		return c, fmt.Errorf("connect for the counters: %w", err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	for left := 1; left > 0; {
		if err := conn.QueryRow(ctx, sqlIdle).Scan(&left); err != nil {
			return c, fmt.Errorf("wait for the sessions to end: %w", err)
		}
		time.Sleep(5 * time.Millisecond)
	}
	if err := conn.QueryRow(ctx, sqlCounters, schema).Scan(&c.WAL, &c.Commits, &c.Rows, &c.Size); err != nil {
		return c, fmt.Errorf("read the counters: %w", err)
	}
	return c, nil
}

// Checkpoint makes every measurement begin alike: the first change of a page
// after a checkpoint costs more WAL, and one in the middle costs time.
func (d *Database) Checkpoint(ctx context.Context) error {
	conn, err := pgx.Connect(ctx, d.url)
	if err != nil {
		return fmt.Errorf("connect for a checkpoint: %w", err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	if _, err := conn.Exec(ctx, "CHECKPOINT"); err != nil {
		return fmt.Errorf("checkpoint: %w", err)
	}
	return nil
}
