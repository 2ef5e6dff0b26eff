// Package pgtest gives every test a database of its own on a real PostgreSQL.
//
// A test process runs a private server, started on first use (see
// internal/pg/pgdev); with KIOSK_TEST_DATABASE_URL set it uses that server
// instead, on which the user of the URL must be allowed to create databases.
// One server is run for bare databases and one per template key; most packages
// need one.
//
// Invariants:
//   - No two tests share a database, and a template is applied once, so tests
//     may run in parallel and in any order.
//   - A database is dropped at the end of its test, unless the test failed:
//     then it is kept, and the log says how to look into it.
//   - What killed processes leave, on disk or on the server of the URL, is
//     removed by a later run, and only if it is provably ours.
//
// The package never touches a database it did not make, and is never part of
// the product: only tests import it.
package pgtest

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"
)

const (
	startLimit  = 5 * time.Minute // includes the template
	createLimit = time.Minute
)

// Empty returns the URL of a new empty database. It is dropped at the end of
// the test, whoever is still connected.
func Empty(t testing.TB) string {
	t.Helper()
	h, err := process.bare()
	if err != nil {
		t.Fatalf("pgtest: %v", err)
	}
	return newDatabase(t, h, "template0")
}

// FromTemplate returns the URL of a new database with the content that apply
// makes. Apply runs once for a key and its result is copied from then on, also
// by later processes: key must name the content, such as a hash of the
// migrations. Apply must have closed its connections when it returns.
func FromTemplate(t testing.TB, key string, apply func(ctx context.Context, url string) error) string {
	t.Helper()
	h, err := process.forTemplate(key, apply)
	if err != nil {
		t.Fatalf("pgtest: %v", err)
	}
	return newDatabase(t, h, h.template)
}

// Run runs the tests, stops the servers, and returns the exit code:
//
//	func TestMain(m *testing.M) { os.Exit(pgtest.Run(m)) }
//
// Without it the servers die with the process, and their folders go at the next
// start of any.
func Run(m *testing.M) int {
	code := m.Run()
	if err := process.stop(); err != nil {
		fmt.Fprintf(os.Stderr, "pgtest: %v\n", err)
		code = max(code, 1)
	}
	return code
}

func newDatabase(t testing.TB, h *host, template string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), createLimit)
	defer cancel()
	name := h.nextName()
	if err := h.create(ctx, name, template); err != nil {
		t.Fatalf("pgtest: %v", err)
	}
	t.Cleanup(func() {
		// The test's own context has ended by now.
		ctx, cancel := context.WithTimeout(context.Background(), createLimit)
		defer cancel()
		if t.Failed() {
			t.Log(h.keep(ctx, name))
			return
		}
		if err := h.drop(ctx, name); err != nil {
			t.Logf("pgtest: %v", err)
		}
	})
	return h.url(name)
}
