// Command jobs compares two ways of waking the workers of generations: River's
// jobs beside the order's row, and a due_at column in the row itself that the
// lane runner takes.
//
// Both do what one generation needs: an order is committed together with
// whatever wakes a worker; the worker makes a transition in a fenced
// transaction, must look again 50 ms later, and makes the last transition in
// another one, which also ends the job. The rounds of all variants alternate in
// one run on one durable server, so their ratios hold though the machine's
// speed does not.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"kiosk/bench/internal/rig"
)

// settings are the flags.
type settings struct {
	rounds    int
	orders    int
	singles   int
	again     int
	workers   int
	producers int
	conns     int
	json      string
}

func main() {
	var s settings
	flag.IntVar(&s.rounds, "rounds", 3, "counted rounds of every variant")
	flag.IntVar(&s.orders, "orders", 2000, "orders of one round")
	flag.IntVar(&s.singles, "singles", 50, "single orders of one round, for the wake-up time")
	flag.IntVar(&s.again, "again", 2, "orders of one round that are looked at again on an idle machine")
	flag.IntVar(&s.workers, "workers", 64, "orders worked on at the same time")
	flag.IntVar(&s.producers, "producers", 16, "transactions that place orders at the same time")
	flag.IntVar(&s.conns, "conns", 20, "database connections")
	flag.StringVar(&s.json, "json", "", "write the result to this file as well")
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, s, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "jobs:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, s settings, out io.Writer) (err error) {
	db, err := rig.Open(ctx)
	if err != nil {
		return err
	}
	defer func() {
		if closeErr := db.Close(); err == nil {
			err = closeErr
		}
	}()
	fmt.Fprintln(out, db.Machine)
	term, release, err := db.Elect(ctx)
	if err != nil {
		return err
	}
	defer release()
	l := &lab{db: db, term: term, settings: s}
	if err := l.prepare(ctx); err != nil {
		return err
	}
	results, err := l.measure(ctx)
	if err != nil {
		return err
	}
	if err := rig.WriteJSON(s.json, report{db.Machine, results}); err != nil {
		return err
	}
	return show(out, s, results)
}
