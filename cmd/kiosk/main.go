// Command kiosk is the whole program: an AI studio in Telegram, its operator's
// tools, and a complete system on one machine for developers.
//
// Exit codes: 0 fine, 1 the answer is no or the work failed, 2 wrong usage or
// configuration.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"sync"
	"syscall"
)

func main() {
	os.Exit(run())
}

// run gives every command a context that ends with the first SIGINT or SIGTERM;
// a second signal ends the process at once.
func run() int {
	ctx, stop := untilSignal()
	defer stop()
	err := root().ExecuteContext(ctx)
	if err != nil && err.Error() != "" {
		fmt.Fprintln(os.Stderr, "kiosk:", err)
	}
	return exitCode(err)
}

// untilSignal returns a context that ends with the first signal or with stop. By
// then the signals have their default effect again, so whoever sees that the
// program is stopping can end it with the next one.
func untilSignal() (ctx context.Context, stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	var listener sync.WaitGroup
	listener.Go(func() {
		select {
		case <-signals:
		case <-ctx.Done():
		}
		signal.Stop(signals)
		cancel()
	})
	return ctx, func() {
		cancel()
		listener.Wait()
	}
}
