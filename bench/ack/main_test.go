package main

import (
	"bytes"
	"strings"
	"testing"
	"time"
)

// The benchmark uses the product's tables and packages, and must follow them.
func TestRun_MeasuresEveryWay(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("starts a server")
	}
	var out bytes.Buffer
	if err := run(t.Context(), settings{rounds: 1, time: 300 * time.Millisecond, senders: 8, conns: 4}, &out); err != nil {
		t.Fatal(err)
	}
	for _, w := range ways() {
		if !strings.Contains(out.String(), w.name) {
			t.Errorf("%s is not in the table:\n%s", w.name, &out)
		}
	}
}
