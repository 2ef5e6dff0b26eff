package main

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivermigrate"

	"kiosk/bench/internal/rig"
)

//go:embed sql/commits.sql
var sqlCommits string

//go:embed sql/empty.sql
var sqlEmpty string

// lab is where the ways are measured.
type lab struct {
	db      *rig.Database
	numbers atomic.Int64 // of the updates
	settings
}

// shift is what one round of one way shows.
type shift struct {
	took     time.Duration
	cpu      time.Duration   // of program and server; 0: unknown
	waits    []time.Duration // of every request
	requests int             // with those that warmed up
	commits  int64           // that stored something
	cost     rig.Counters
}

// round serves a way for d.
func (l *lab) round(ctx context.Context, w way, d time.Duration) (shift, error) {
	if err := l.empty(ctx); err != nil {
		return shift{}, err
	}
	before, err := l.db.Counters(ctx, "public")
	if err != nil {
		return shift{}, err
	}
	s, err := l.serve(ctx, w, d)
	if err != nil {
		return shift{}, err
	}
	after, err := l.db.Counters(ctx, "public")
	if err != nil {
		return shift{}, err
	}
	s.cost = after.Sub(before)
	s.commits, err = l.commits(ctx)
	return s, err
}

func (l *lab) serve(ctx context.Context, w way, d time.Duration) (s shift, err error) {
	pool, err := l.db.Pool(ctx, l.conns)
	if err != nil {
		return s, err
	}
	defer pool.Close()
	handler, stop, err := w.build(pool)
	if err != nil {
		return s, err
	}
	defer stop()
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return s, fmt.Errorf("listen: %w", err)
	}
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 5 * time.Second}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	defer func() {
		err = errors.Join(err, server.Close())
		<-served
	}()
	return l.drive(ctx, listener.Addr().String(), d)
}

// drive opens all connections of the pool by a little load before it measures.
func (l *lab) drive(ctx context.Context, addr string, d time.Duration) (shift, error) {
	first, _, err := l.send(ctx, addr, d/10)
	if err != nil {
		return shift{}, err
	}
	cpu := l.db.CPU()
	waits, took, err := l.send(ctx, addr, d)
	return shift{took: took, cpu: l.db.CPU() - cpu, waits: waits, requests: len(first) + len(waits)}, err
}

// send runs all senders for d and returns how long every request took.
func (l *lab) send(ctx context.Context, addr string, d time.Duration) (waits []time.Duration, took time.Duration, err error) {
	senders := make([]*sender, 0, l.senders)
	for i := range l.senders {
		s, err := newSender(ctx, addr, i, &l.numbers)
		if err != nil {
			return nil, 0, err
		}
		defer s.conn.Close()
		senders = append(senders, s)
	}
	sending, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	failures := make([]error, len(senders))
	var running sync.WaitGroup
	start := time.Now()
	for i, s := range senders {
		running.Go(func() { failures[i] = s.run(sending) })
	}
	running.Wait()
	took = time.Since(start)
	for _, s := range senders {
		waits = append(waits, s.waits...)
	}
	return waits, took, errors.Join(append(failures, ctx.Err())...)
}

// commits counts the transactions whose rows are there. Those of the server's
// own counter include the ones in which a listener hears a notification.
func (l *lab) commits(ctx context.Context) (n int64, err error) {
	pool, err := l.db.Pool(ctx, 1)
	if err != nil {
		return 0, err
	}
	defer pool.Close()
	if err := pool.QueryRow(ctx, sqlCommits).Scan(&n); err != nil {
		return 0, fmt.Errorf("count the commits: %w", err)
	}
	return n, nil
}

func (l *lab) empty(ctx context.Context) error {
	pool, err := l.db.Pool(ctx, 1)
	if err != nil {
		return err
	}
	defer pool.Close()
	if _, err := pool.Exec(ctx, sqlEmpty); err != nil {
		return fmt.Errorf("empty the tables: %w", err)
	}
	return l.db.Checkpoint(ctx)
}

// prepare makes River's tables beside the product's.
func (l *lab) prepare(ctx context.Context) error {
	pool, err := l.db.Pool(ctx, 2)
	if err != nil {
		return err
	}
	defer pool.Close()
	m, err := rivermigrate.New(riverpgxv5.New(pool), nil)
	if err != nil {
		return err
	}
	if _, err := m.Migrate(ctx, rivermigrate.DirectionUp, nil); err != nil {
		return fmt.Errorf("make River's tables: %w", err)
	}
	return nil
}

// measure warms up and runs the rounds. Each begins with another way.
func (l *lab) measure(ctx context.Context) ([]result, error) {
	all := ways()
	for _, w := range all {
		if _, err := l.round(ctx, w, l.time/3); err != nil {
			return nil, fmt.Errorf("warm up %s: %w", w.name, err)
		}
	}
	figures := make([]series, len(all))
	for round := range l.rounds {
		for i := range all {
			k := (i + round) % len(all)
			s, err := l.round(ctx, all[k], l.time)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", all[k].name, err)
			}
			figures[k].add(s)
		}
	}
	return summarise(all, figures), nil
}
