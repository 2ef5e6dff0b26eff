package main

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// TestMain makes the test's own program a worker when the parent asks for one.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "worker" {
		if err := runWorker(); err != nil {
			fmt.Fprintln(os.Stderr, "worker:", err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// The short form judges safety and recovery. Milliseconds are for a machine that
// has nothing else to do, so its times are not judged here.
func TestRun_ShortFormFindsNoViolation(t *testing.T) {
	if testing.Short() {
		t.Skip("starts servers and processes")
	}
	var out strings.Builder
	green, err := run(t.Context(), options{short: true, parallel: 8, lenient: true}, &out)
	t.Log(out.String())
	if err != nil || !green {
		t.Fatalf("green %t, %v", green, err)
	}
}
