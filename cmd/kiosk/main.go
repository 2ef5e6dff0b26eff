// Command kiosk is the whole program: an AI studio in Telegram, its operator's
// tools, and a complete system on one machine for developers.
//
// Exit codes: 0 fine, 1 the answer is no or the work failed, 2 wrong usage or
// configuration.
package main

import (
	"fmt"
	"os"
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
