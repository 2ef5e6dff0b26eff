package singleton

import (
	"context"
	_ "embed"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
)

//go:embed sql/history.sql
var sqlHistory string

//go:embed sql/takeovers.sql
var sqlTakeovers string

// Status is what this instance knows without asking the database.
type Status struct {
	State        State
	Instance     string        // this one
	Holder       string        // the ACTIVE one, "" if unknown
	Epoch        int64         // of the newest term seen
	Since        time.Time     // when that term began; zero if unknown
	HeartbeatAge time.Duration // since the last heartbeat sent (holder) or seen to change (watcher)
	Trouble      string        // why the lock cannot be reached, "" when it can
}

// Status returns the present state.
func (e *Elector) Status() Status {
	e.mu.Lock()
	defer e.mu.Unlock()
	s := Status{State: e.state, Instance: e.cfg.Instance, Trouble: e.trouble}
	if e.term != nil {
		s.Holder, s.Epoch, s.Since, s.HeartbeatAge = e.cfg.Instance, e.term.epoch, e.term.began, e.term.heartbeatAge()
		return s
	}
	s.Epoch = e.seen.epoch
	if e.seen.state == "held" {
		s.Holder, s.Since, s.HeartbeatAge = e.seen.instance, e.seen.acquiredAt, time.Since(e.seenAt)
	}
	return s
}

// WaitState blocks until the instance is in one of the states or ctx ends.
func (e *Elector) WaitState(ctx context.Context, states ...State) error {
	for {
		e.mu.Lock()
		now, changed := e.state, e.changed
		e.mu.Unlock()
		if slices.Contains(states, now) {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("wait for the lock state %v, still %s: %w", states, now, ctx.Err())
		}
	}
}

// Event is one row of the lock's history.
type Event struct {
	At       time.Time `json:"at"`
	Epoch    int64     `json:"epoch"`
	Kind     string    `json:"kind"` // acquired, released, lost, takeover
	Instance string    `json:"instance"`
	Detail   string    `json:"detail"`
}

// Querier reads: a pool, a connection, a transaction.
type Querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

// History returns the newest events of a lock, newest first.
func History(ctx context.Context, db Querier, name string, limit int) ([]Event, error) {
	rows, err := db.Query(ctx, sqlHistory, name, limit)
	if err != nil {
		return nil, fmt.Errorf("read the lock's history: %w", err)
	}
	events, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Event])
	if err != nil {
		return nil, fmt.Errorf("read the lock's history: %w", err)
	}
	return events, nil
}

// Takeovers counts what watchers had to do, by reason.
type Takeovers struct {
	Heartbeat, Idle int64
	Last            *time.Time
}

// ReadTakeovers returns the counts of a lock's whole history.
func ReadTakeovers(ctx context.Context, db Querier, name string) (Takeovers, error) {
	var t Takeovers
	if err := db.QueryRow(ctx, sqlTakeovers, name).Scan(&t.Heartbeat, &t.Idle, &t.Last); err != nil {
		return t, fmt.Errorf("count takeovers: %w", err)
	}
	return t, nil
}
