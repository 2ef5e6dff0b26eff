package wire_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"

	"kiosk/internal/app/apptest/wire"
	"kiosk/internal/pg/pgtest"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Run(m)) }

// client is a session through the proxy, and what the proxy has noted.
type client struct {
	t       *testing.T
	journal *wire.Journal
	direct  *pgx.Conn
	proxied *pgx.Conn
	killed  atomic.Int32
}

func connect(t *testing.T) *client {
	t.Helper()
	c := &client{t: t, journal: wire.NewJournal()}
	address := pgtest.Empty(t)
	c.direct = dial(t, address)
	for _, sql := range []string{
		`CREATE TABLE notes (id integer PRIMARY KEY, text text)`,
		`CREATE FUNCTION note(integer) RETURNS void LANGUAGE sql AS 'INSERT INTO notes VALUES ($1, '''')'`,
	} {
		if _, err := c.direct.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	c.proxied = dial(t, wire.Postgres(t, c.journal, address, []string{"note"}))
	return c
}

func dial(t *testing.T, address string) *pgx.Conn {
	t.Helper()
	c, err := pgx.Connect(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close(context.WithoutCancel(t.Context())) })
	return c
}

func (c *client) open(trap wire.Trap) { c.journal.Open(trap, func() { c.killed.Add(1) }) }

func (c *client) notes() (n int) {
	c.t.Helper()
	if err := c.direct.QueryRow(c.t.Context(), `SELECT count(*) FROM notes`).Scan(&n); err != nil {
		c.t.Fatal(err)
	}
	return n
}

func (c *client) exec(sql string, args ...any) error {
	_, err := c.proxied.Exec(c.t.Context(), sql, args...)
	return err
}

const (
	insert = `INSERT INTO notes (id) VALUES ($1)`
	update = `-- FOR UPDATE of INSERT INTO nothing
UPDATE notes AS n SET text = 'x', id = id WHERE id = $1`
	inserted = "pg commit (INSERT notes)"
)

func TestPostgres_CommitsOfChangesArePoints(t *testing.T) {
	t.Parallel()
	c := connect(t)
	if err := c.exec(insert, 1); err != nil {
		t.Fatal(err)
	}
	c.open(wire.Trap{}) // what was before does not count
	inTx := func(statements ...string) func() error {
		return func() error {
			return pgx.BeginFunc(t.Context(), c.proxied, func(tx pgx.Tx) error {
				for _, sql := range statements {
					if _, err := tx.Exec(t.Context(), sql); err != nil {
						return err
					}
				}
				return nil
			})
		}
	}
	for _, step := range []struct {
		what string
		do   func() error
		want string
		fail bool
	}{
		{"alone", func() error { return c.exec(insert, 2) }, inserted, false},
		{"alone and known", func() error { return c.exec(insert, 3) }, inserted, false},
		{"update", func() error { return c.exec(update, 3) }, "pg commit (UPDATE notes text = 'x')", false},
		{"without parameters", func() error { return c.exec(`DELETE FROM notes WHERE id = 3`) }, "pg commit (DELETE notes)", false},
		{"read", func() error { return c.exec(`SELECT 1 FROM notes FOR UPDATE`) }, "", false},
		{"function that writes", func() error { return c.exec(`SELECT note($1)`, 4) }, "pg commit (note())", false},
		{"transaction", inTx(`SELECT note(5)`, `DELETE FROM notes WHERE id = 5`), "pg commit (note(), DELETE notes)", false},
		{"transaction that reads", inTx(`SELECT 1 FROM notes FOR SHARE`), "", false},
		{"transaction rolled back", inTx(`SELECT note(6)`, `SELECT 1/0`), "", true},
		{"the next one", inTx(`SELECT note(6)`), "pg commit (note())", false},
	} {
		before := len(c.journal.Points())
		if err := step.do(); (err != nil) != step.fail {
			t.Fatalf("%s: %v", step.what, err)
		}
		var got []string
		for _, p := range c.journal.Points()[before:] {
			got = append(got, p.Label)
		}
		if len(got) > 1 || strings.Join(got, "") != step.want {
			t.Errorf("%s: points %q, want %q", step.what, got, step.want)
		}
	}
}

func TestPostgres_BeforeACommitNothingIsChanged(t *testing.T) {
	t.Parallel()
	c := connect(t)
	c.open(wire.Trap{Point: wire.Point{Label: inserted, Nth: 2}, Side: wire.Before})
	if err := c.exec(insert, 1); err != nil {
		t.Fatal(err)
	}
	err := pgx.BeginFunc(t.Context(), c.proxied, func(tx pgx.Tx) error {
		_, err := tx.Exec(t.Context(), insert, 2)
		return err
	})
	if err == nil || c.killed.Load() != 1 || c.notes() != 1 {
		t.Errorf("error %v, killed %d times, %d notes", err, c.killed.Load(), c.notes())
	}
}

func TestPostgres_AfterACommitNobodyHearsOfIt(t *testing.T) {
	t.Parallel()
	c := connect(t)
	seen := 0
	c.journal.Open(wire.Trap{Point: wire.Point{Label: inserted, Nth: 1}, Side: wire.After}, func() { seen = c.notes() })
	if err := c.exec(insert, 1); err == nil {
		t.Error("the commit was confirmed")
	}
	<-c.journal.Sprung()
	if seen != 1 {
		t.Errorf("at the kill there were %d notes, want 1", seen)
	}
}

func TestHTTP_CutsCallsOnEitherSide(t *testing.T) {
	t.Parallel()
	for side, reached := range map[wire.Side]int32{"": 2, wire.Before: 1, wire.After: 2} {
		var calls atomic.Int32
		world := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { calls.Add(1) }))
		t.Cleanup(world.Close)
		j := wire.NewJournal()
		address := wire.HTTP(t, j, wire.Fixed(t, world.URL), func(r *http.Request) string { return r.URL.Path })
		j.Open(wire.Trap{Point: wire.Point{Label: "/call", Nth: 2}, Side: side}, func() {})
		for n, cut := range []bool{false, side != ""} {
			resp, err := http.Post(address+"/call", "text/plain", nil)
			if err == nil {
				resp.Body.Close()
			}
			if (err != nil) != cut {
				t.Errorf("%q: call %d ended with %v", side, n, err)
			}
		}
		if calls.Load() != reached {
			t.Errorf("%q: %d calls arrived, want %d", side, calls.Load(), reached)
		}
		if want := []wire.Point{{Label: "/call", Nth: 1}, {Label: "/call", Nth: 2}}; !slices.Equal(j.Points(), want) {
			t.Errorf("%q: points %v, want %v", side, j.Points(), want)
		}
	}
}

func TestDoor_CallsWaitForTheNextProcess(t *testing.T) {
	t.Parallel()
	d := wire.NewDoor()
	gone, leave := context.WithCancel(t.Context())
	leave()
	if _, err := d.Target(gone); err == nil {
		t.Error("a closed door led somewhere")
	}
	found := make(chan string)
	go func() {
		u, err := d.Target(t.Context())
		if err != nil {
			t.Error(err)
		}
		found <- u.Host
	}()
	if err := d.Open("http://second"); err != nil {
		t.Fatal(err)
	}
	if host := <-found; host != "second" {
		t.Errorf("led to %q", host)
	}
	d.Shut()
	if _, err := d.Target(gone); err == nil {
		t.Error("a door that was shut led somewhere")
	}
}
