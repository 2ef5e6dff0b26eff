// Package sweeptest proves the rules of a sweep on a real database: it clears
// its leftovers and nothing beside them, a second run finds nothing, and a
// former holder of the lock, fenced out, clears nothing.
package sweeptest

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/url"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"kiosk/internal/pg/pgtest"
	"kiosk/internal/sweep"
	"kiosk/singleton"
)

// Case is one sweep and what it is shown.
type Case struct {
	Sweep sweep.Sweep
	Fill  string // a script that makes leftovers and living rows beside them
	Dirt  string // counts the leftovers
	Live  string // describes the living rows in one text
}

// Check runs a case in a database of its own.
func Check(t *testing.T, c Case) {
	t.Helper()
	h := Open(t)
	h.Exec(c.Fill)
	former, present := h.Terms()
	dirt, live := value[int](h, c.Dirt), value[string](h, c.Live)
	if dirt == 0 || live == "" {
		t.Fatalf("the script made %d leftovers and living rows %q", dirt, live)
	}
	if _, err := h.Run(former, c.Sweep); !errors.Is(err, singleton.ErrFenced) {
		t.Errorf("a former holder's sweep: %v, want ErrFenced", err)
	}
	if n := value[int](h, c.Dirt); n != dirt {
		t.Errorf("a former holder left %d of %d leftovers", n, dirt)
	}
	if f, err := h.Run(present, c.Sweep); err != nil || f.Count != dirt {
		t.Errorf("swept %+v, %v; want %d", f, err, dirt)
	}
	if n := value[int](h, c.Dirt); n != 0 {
		t.Errorf("%d leftovers are left", n)
	}
	if now := value[string](h, c.Live); now != live {
		t.Errorf("living rows were\n%s\nand are\n%s", live, now)
	}
	if f, err := h.Run(present, c.Sweep); err != nil || f.Count != 0 {
		t.Errorf("the second run swept %+v, %v", f, err)
	}
}

// House is a database of its own.
type House struct {
	T    *testing.T
	URL  string
	Pool *pgxpool.Pool
}

// Open makes a database.
func Open(t *testing.T) *House {
	t.Helper()
	u := pgtest.URL(t)
	return &House{T: t, URL: u, Pool: pgtest.Pool(t, u)}
}

// Exec runs a script of statements.
func (h *House) Exec(script string) {
	h.T.Helper()
	conn, err := h.Pool.Acquire(h.T.Context())
	if err != nil {
		h.T.Fatal(err)
	}
	defer conn.Release()
	if _, err := conn.Conn().PgConn().Exec(h.T.Context(), script).ReadAll(); err != nil {
		h.T.Fatal(err)
	}
}

// Run runs one sweep in a term.
func (h *House) Run(term *singleton.Term, s sweep.Sweep) (sweep.Found, error) {
	h.T.Helper()
	r, err := sweep.New(sweep.Config{
		Term: term, Pool: h.Pool, Sweeps: []sweep.Sweep{s},
		Count: func(string, int) {}, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		h.T.Fatal(err)
	}
	return r.Once(h.T.Context(), s)
}

func value[T any](h *House, sql string) T {
	h.T.Helper()
	rows, err := h.Pool.Query(h.T.Context(), sql)
	if err != nil {
		h.T.Fatal(err)
	}
	v, err := pgx.CollectExactlyOneRow(rows, pgx.RowTo[T])
	if err != nil {
		h.T.Fatalf("%s: %v", sql, err)
	}
	return v
}

// Terms returns a former term, whose holder is cut off and believes that nothing
// has changed, and the present one.
func (h *House) Terms() (former, present *singleton.Term) {
	h.T.Helper()
	through, cut := h.wire()
	former = h.Elect("former", through)
	cut()
	return former, h.Elect("present", h.URL)
}

// Elect waits until a new instance is ACTIVE; its term lasts as long as the test.
func (h *House) Elect(name, address string) *singleton.Term {
	h.T.Helper()
	e, err := singleton.New(singleton.Config{Name: "sweep", URL: address, Instance: name, Exit: func(int) {}})
	if err != nil {
		h.T.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(h.T.Context()))
	terms, done := make(chan *singleton.Term, 1), make(chan struct{})
	go func() {
		defer close(done)
		_ = e.Run(ctx, func(ctx context.Context, term *singleton.Term) error { // a cut holder may fail to release
			defer stop() // one term is enough
			terms <- term
			<-ctx.Done()
			return nil
		})
	}()
	h.T.Cleanup(func() { stop(); <-done })
	select {
	case term := <-terms:
		return term
	case <-done:
		h.T.Fatal("the elector ended without a term")
	case <-h.T.Context().Done():
		h.T.Fatal("the test ended before the term began")
	}
	return nil
}

// wire returns an address that leads to the database until it is cut. Then the
// database sees the connections end, and their clients hear nothing at all.
func (h *House) wire() (address string, cut func()) {
	h.T.Helper()
	cfg, err := pgx.ParseConfig(h.URL)
	if err != nil {
		h.T.Fatal(err)
	}
	listener, err := new(net.ListenConfig).Listen(h.T.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		h.T.Fatal(err)
	}
	h.T.Cleanup(func() { _ = listener.Close() }) // nobody waits for it any more
	u, err := url.Parse(h.URL)
	if err != nil {
		h.T.Fatal(err)
	}
	q := u.Query()
	q.Del("host")
	q.Del("port")
	u.Host, u.RawQuery = listener.Addr().String(), q.Encode()
	wire, stop := context.WithCancel(context.Background())
	network, server := pgconn.NetworkAddress(cfg.Host, cfg.Port)
	go carryAll(wire, h.T.Context(), listener, network, server)
	return u.String(), stop
}

func carryAll(wire, test context.Context, listener net.Listener, network, server string) {
	for {
		client, err := listener.Accept()
		if err != nil {
			return
		}
		to, err := new(net.Dialer).DialContext(test, network, server)
		if err != nil {
			_ = client.Close() // the caller hears it
			continue
		}
		context.AfterFunc(wire, func() { _ = to.Close() }) // the database ends the sessions
		go carry(wire, test, to, client)
		go carry(wire, test, client, to)
	}
}

// carry copies until the wire is cut, then keeps the client's end open and silent.
func carry(wire, test context.Context, to, from net.Conn) {
	_, _ = io.Copy(to, from) // either end may close at any time
	if wire.Err() != nil {
		<-test.Done()
	}
	_ = to.Close() // the other end is gone
}
