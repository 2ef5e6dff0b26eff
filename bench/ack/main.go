// Command ack compares ways of acknowledging a webhook only after its update is
// committed: one insert per request, one River job per request, and the
// product's inbox, whose requests share commits. A handler that stores nothing
// shows what HTTP alone costs.
//
// All handlers are served by net/http on the loopback interface from one
// durable server's database, and get the same updates over the same number of
// keep-alive connections, in rounds that alternate. The sender lives in the
// same process; it writes ready-made requests and reads answers with as little
// work as it can, but the processor time it takes is missing to the handlers.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"kiosk/bench/internal/rig"
	"kiosk/internal/app"
)

// settings are the flags.
type settings struct {
	rounds  int
	time    time.Duration
	senders int
	conns   int
	json    string
}

func main() {
	var s settings
	flag.IntVar(&s.rounds, "rounds", 5, "counted rounds of every handler")
	flag.DurationVar(&s.time, "time", 3*time.Second, "length of one round")
	flag.IntVar(&s.senders, "senders", 64, "keep-alive connections that send")
	flag.IntVar(&s.conns, "conns", 20, "database connections")
	flag.StringVar(&s.json, "json", "", "write the result to this file as well")
	flag.Parse()
	app.TuneGC() // as the product does; it serves all handlers

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, s, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "ack:", err)
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
	l := &lab{db: db, settings: s}
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
