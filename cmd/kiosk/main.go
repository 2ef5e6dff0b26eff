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
	"syscall"
)

func main() {
	os.Exit(run())
}

// run gives every command a context that ends with the first SIGINT or SIGTERM;
// a second signal ends the process at once.
func run() int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop)
	err := root().ExecuteContext(ctx)
	if err != nil && err.Error() != "" {
		fmt.Fprintln(os.Stderr, "kiosk:", err)
	}
	return exitCode(err)
}
