package main

import (
	"bytes"
	"strings"
	"testing"
)

// The benchmark uses the product's tables and packages, and must follow them.
func TestRun_MeasuresEveryVariant(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("starts a server")
	}
	var out bytes.Buffer
	s := settings{rounds: 1, orders: 40, singles: 3, again: 1, workers: 8, producers: 4, conns: 8}
	if err := run(t.Context(), s, &out); err != nil {
		t.Fatal(err)
	}
	for _, v := range variants() {
		if strings.Count(out.String(), v.name) != 2 {
			t.Errorf("%s is not in both tables:\n%s", v.name, &out)
		}
	}
}
