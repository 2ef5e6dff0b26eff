package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"kiosk/singleton"
)

// lockName is the lock that all workers of an arena compete for.
const lockName = "lockfaults"

// worker is one instance: a process of its own that campaigns, works inside and
// outside the database when it holds the lock, and tells the parent all it does.
type worker struct {
	settings
	pool    *pgxpool.Pool
	waits   *pgxpool.Pool
	elector *singleton.Elector

	mu      sync.Mutex // of the line being written
	passive atomic.Int64
	ops     atomic.Int64
	hung    atomic.Bool
	rest    chan time.Duration
	late    chan time.Duration
}

// runWorker is the whole of a worker's process.
func runWorker() error {
	w := &worker{rest: make(chan time.Duration, 1), late: make(chan time.Duration, 1)}
	if err := json.Unmarshal([]byte(os.Getenv(environment)), &w.settings); err != nil {
		return fmt.Errorf("%s: %w; a worker is started by its parent", environment, err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	go w.listen()
	if err := pause(ctx, w.StartUp); err != nil {
		return nil // it was told to stop
	}
	if err := w.open(ctx); err != nil {
		return err
	}
	defer w.pool.Close()
	err := w.elector.Run(ctx, w.work)
	time.Sleep(w.Linger)
	return err
}

func (w *worker) open(ctx context.Context) (err error) {
	if w.pool, err = w.openPool(ctx, w.WorkURL, "lockfaults/work/"+w.Instance); err != nil {
		return err
	}
	w.waits = w.pool
	if w.WaitsURL != "" {
		if w.waits, err = w.openPool(ctx, w.WaitsURL, "lockfaults/waits/"+w.Instance); err != nil {
			return err
		}
	}
	cfg := singleton.Config{
		Name: lockName, URL: w.LockURL, Instance: w.Instance, Mode: singleton.Mode(w.Mode),
		WorkApplicationName: "lockfaults/work/" + w.Instance,
		Heartbeat:           w.Heartbeat, StaleHeartbeat: w.Stale, StaleIdle: w.Idle, Drain: w.Drain,
		Waiting: w.waiting, Warm: w.warm, Observe: w.observe,
		Log: slog.New(slog.NewTextHandler(os.Stderr, nil)),
	}
	w.elector, err = singleton.New(cfg)
	return err
}

// openPool opens connections ahead, as a pool in use has them. Nothing limits a
// session that idles in its transaction: that would hide what the fence does.
func (w *worker) openPool(ctx context.Context, url, name string) (*pgxpool.Pool, error) {
	cfg, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, err
	}
	cfg.MaxConns = int32(max(w.Conns, 1)) //nolint:gosec // a small number
	cfg.ConnConfig.ConnectTimeout = 5 * time.Second
	if !w.Pooled {
		cfg.AfterConnect = w.rehearse
	}
	cfg.ConnConfig.RuntimeParams["application_name"] = name
	if w.Pooled {
		cfg.ConnConfig.DefaultQueryExecMode = pgx.QueryExecModeExec
	}
	pool, err := pgxpool.NewWithConfig(ctx, cfg)
	if err == nil && !w.Lazy {
		err = fill(ctx, pool)
	}
	return pool, err
}

// rehearse readies a connection for the work.
func (w *worker) rehearse(ctx context.Context, c *pgx.Conn) error {
	if err := singleton.Rehearse(ctx, c); err != nil {
		return err
	}
	for _, sql := range []string{sqlWrite, sqlLeftOver, sqlClaim, sqlFinish} {
		if _, err := c.Prepare(ctx, sql, sql); err != nil {
			return err
		}
	}
	return nil
}

// fill opens all connections of a pool.
func fill(ctx context.Context, pool *pgxpool.Pool) error {
	for range pool.Config().MaxConns {
		c, err := pool.Acquire(ctx)
		if err != nil {
			return err
		}
		defer c.Release()
	}
	return nil
}

// listen does what the parent orders, and ends the process when it is gone.
func (w *worker) listen() {
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		var o order
		if json.Unmarshal(lines.Bytes(), &o) != nil {
			continue
		}
		switch o.Do {
		case doRest:
			w.rest <- o.For
		case doLate:
			w.late <- o.For
		case doHang:
			w.hung.Store(true)
		case doExhaust:
			go w.exhaust(o.For)
		}
	}
	os.Exit(2)
}

// exhaust holds all connections of the work pool.
func (w *worker) exhaust(d time.Duration) {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	defer cancel()
	for ctx.Err() == nil {
		c, err := w.pool.Acquire(ctx)
		if err == nil {
			defer c.Release()
		}
	}
}

func (w *worker) waiting(ctx context.Context) (waits bool, err error) {
	err = w.waits.QueryRow(ctx, sqlWaits).Scan(&waits)
	return waits, err
}

func (w *worker) warm(ctx context.Context, _ *singleton.Term) error {
	_ = pause(ctx, w.Warm) // what ends it ends the term, too
	return nil
}

func (w *worker) observe(o singleton.Observation) {
	if o.State == singleton.Passive {
		s := w.elector.Status()
		w.passive.Store(now())
		w.say(event{Kind: evMode, Text: string(s.Mode)})
	}
	if o.State != "" {
		w.say(event{Kind: evState, Text: string(o.State)})
	}
	if o.Lost != nil {
		w.say(event{Kind: evLost, Text: o.Lost.Error()})
	}
}

// say tells the parent. One write per line: a process that is killed leaves
// whole lines.
func (w *worker) say(e event) {
	if e.At == 0 {
		e.At = now()
	}
	line, err := json.Marshal(e)
	if err != nil {
		panic("an event is plain data: " + err.Error())
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	_, _ = os.Stdout.Write(append(line, '\n')) // without the parent there is nobody to tell
}

// work is what only the holder does: fenced commits, and jobs outside.
func (w *worker) work(ctx context.Context, term *singleton.Term) error {
	w.say(event{Kind: evTerm, Epoch: term.Epoch(), From: w.passive.Load(), Text: term.Barrier().String()})
	var both sync.WaitGroup
	both.Go(func() { w.write(ctx, term) })
	for i := range max(w.Actors, 1) {
		both.Go(func() { w.act(ctx, term, i) })
	}
	both.Wait()
	return nil
}

// classify names what became of a fenced commit.
func classify(err error) string {
	switch {
	case err == nil:
		return outcomeOK
	case errors.Is(err, singleton.ErrFenced):
		return outcomeFenced
	}
	return outcomeUnknown
}
