package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"kiosk/bench/internal/rig"
	"kiosk/singleton"
)

// system wakes workers for orders.
type system interface {
	// place commits an order and says when.
	place(ctx context.Context, id uuid.UUID) (committed time.Time, err error)

	// run works until ctx ends and what is under way is done.
	run(ctx context.Context) error
}

// variant is one system as it is measured.
type variant struct {
	name   string
	schema string
	gap    time.Duration // between single orders: longer than the system's own pauses
	build  func(o *orders, workers int) (system, error)
}

func variants() []variant {
	viaRiver := func(s riverSettings) func(*orders, int) (system, error) {
		return func(o *orders, workers int) (system, error) { return newRiverQueue(o, workers, s) }
	}
	const short, long = 20 * time.Millisecond, 110 * time.Millisecond
	return []variant{
		{"due_at column", "due", short, newDueColumn},
		{"River, defaults", "river", long, viaRiver(riverSettings{})},
		{"River, tuned", "river", short, viaRiver(riverSettings{cooldown: 2 * time.Millisecond, poll: 20 * time.Millisecond})},
		{"River, poll only", "river", short, viaRiver(riverSettings{pollOnly: true})},
	}
}

// lab is where the variants are measured.
type lab struct {
	db   *rig.Database
	term *singleton.Term
	settings
}

// load is what one round of many orders shows.
type load struct {
	rate float64       // orders per second
	cpu  time.Duration // of program and server; 0: unknown
	cost rig.Counters
}

// throughput places many orders at once and waits until all are finished.
func (l *lab) throughput(ctx context.Context, v variant, n int) (load, error) {
	if err := l.empty(ctx); err != nil {
		return load{}, err
	}
	before, err := l.db.Counters(ctx, v.schema)
	if err != nil {
		return load{}, err
	}
	var shown load
	err = l.with(ctx, v, true, n, func(ctx context.Context, o *orders, s system) error {
		cpu := l.db.CPU()
		rate, err := l.crowd(ctx, o, s, n)
		shown.rate, shown.cpu = rate, l.db.CPU()-cpu
		return err
	})
	if err != nil {
		return load{}, err
	}
	after, err := l.db.Counters(ctx, v.schema)
	shown.cost = after.Sub(before)
	return shown, err
}

// crowd returns the rate at which n orders of many producers are finished. The
// last twentieth does not count: it waits for a poll, which is luck.
func (l *lab) crowd(ctx context.Context, o *orders, s system, n int) (float64, error) {
	start := time.Now()
	if err := l.placeAll(ctx, s, n); err != nil {
		return 0, err
	}
	times, err := o.await(ctx, n)
	if err != nil {
		return 0, err
	}
	most := n - n/20
	return float64(most) / times[most-1].Sub(start).Seconds(), nil
}

func (l *lab) placeAll(ctx context.Context, s system, n int) error {
	var left atomic.Int64
	left.Store(int64(n))
	failures := make([]error, l.producers)
	var producers sync.WaitGroup
	for i := range failures {
		producers.Go(func() {
			for failures[i] == nil && left.Add(-1) >= 0 {
				_, failures[i] = s.place(ctx, uuid.New())
			}
		})
	}
	producers.Wait()
	return errors.Join(failures...)
}

// wake places orders one by one while nothing else happens, and returns how long
// each waited for a worker after its commit.
func (l *lab) wake(ctx context.Context, v variant, n int) ([]time.Duration, error) {
	if err := l.empty(ctx); err != nil {
		return nil, err
	}
	var waits []time.Duration
	err := l.with(ctx, v, false, n, func(ctx context.Context, o *orders, s system) error {
		committed := map[uuid.UUID]time.Time{}
		for range n {
			time.Sleep(v.gap + rand.N(v.gap/4))
			id := uuid.New()
			at, err := s.place(ctx, id)
			if err != nil {
				return err
			}
			committed[id] = at
		}
		if _, err := o.await(ctx, n); err != nil {
			return err
		}
		for id, at := range committed {
			waits = append(waits, o.started[id].Sub(at))
		}
		return nil
	})
	return waits, err
}

// lookAgain places orders one by one, each after the end of the one before, and
// returns how late they were looked at again. The pause is random, because an
// order that follows the end of another at once always meets the polls alike.
func (l *lab) lookAgain(ctx context.Context, v variant, n int) ([]time.Duration, error) {
	if err := l.empty(ctx); err != nil {
		return nil, err
	}
	var late []time.Duration
	err := l.with(ctx, v, true, n, func(ctx context.Context, o *orders, s system) error {
		for range n {
			time.Sleep(rand.N(time.Second))
			if _, err := s.place(ctx, uuid.New()); err != nil {
				return err
			}
			if _, err := o.await(ctx, 1); err != nil {
				return err
			}
		}
		late = o.late[1:] // the first was for warming up
		return nil
	})
	return late, err
}

// with runs a system around measure, warmed up by one order.
func (l *lab) with(ctx context.Context, v variant, patient bool, n int, measure func(context.Context, *orders, system) error) error {
	pool, err := l.db.Pool(ctx, l.conns, v.schema, "public")
	if err != nil {
		return err
	}
	defer pool.Close()
	o := newOrders(pool, l.term, patient, n+1)
	s, err := v.build(o, l.workers)
	if err != nil {
		return err
	}
	running, stop := context.WithCancel(ctx)
	stopped := make(chan error, 1)
	go func() { stopped <- s.run(running) }()
	_, err = s.place(ctx, uuid.New())
	if err == nil {
		_, err = o.await(ctx, 1)
	}
	if err == nil {
		err = measure(ctx, o, s)
	}
	stop()
	return errors.Join(err, <-stopped)
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

// prepare makes the tables of both systems.
func (l *lab) prepare(ctx context.Context) error {
	pool, err := l.db.Pool(ctx, 2, "river", "public")
	if err != nil {
		return err
	}
	defer pool.Close()
	if _, err := pool.Exec(ctx, sqlSchema); err != nil {
		return fmt.Errorf("make the tables: %w", err)
	}
	if err := migrateRiver(ctx, pool); err != nil {
		return fmt.Errorf("make River's tables: %w", err)
	}
	return nil
}
