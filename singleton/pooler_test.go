package singleton_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"kiosk/singleton"
)

// lines collects what is logged.
type lines struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lines) text() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func (l *lines) count(message string) int { return strings.Count(l.text(), `msg="`+message+`"`) }
func (l *lines) logger() *slog.Logger     { return slog.New(slog.NewTextHandler(l, nil)) }

// proxied returns the URL of a proxy before the database that announces other
// server processes than there are, as poolers do.
func proxied(t *testing.T, database string) string {
	t.Helper()
	u, err := url.Parse(database)
	if err != nil {
		t.Fatal(err)
	}
	network, address := "tcp", u.Host
	if dir := u.Query().Get("host"); dir != "" {
		network, address = "unix", dir+"/.s.PGSQL."+u.Query().Get("port")
	}
	l, err := new(net.ListenConfig).Listen(within(t), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var running sync.WaitGroup
	t.Cleanup(func() { _ = l.Close(); running.Wait() })
	running.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			running.Go(func() { proxy(client, network, address) })
		}
	})
	return "postgres://postgres@" + l.Addr().String() + u.Path + "?sslmode=disable"
}

func proxy(client net.Conn, network, address string) {
	server, err := new(net.Dialer).DialContext(context.Background(), network, address)
	if err != nil {
		_ = client.Close()
		return
	}
	var both sync.WaitGroup
	both.Go(func() { _, _ = io.Copy(server, client); _ = server.Close() })
	both.Go(func() { renumber(client, server); _ = client.Close() })
	both.Wait()
}

// renumber passes messages on and changes the process id in BackendKeyData.
func renumber(client io.Writer, server io.Reader) {
	head := make([]byte, 5)
	for {
		if _, err := io.ReadFull(server, head); err != nil {
			return
		}
		body := make([]byte, binary.BigEndian.Uint32(head[1:])-4)
		if _, err := io.ReadFull(server, body); err != nil {
			return
		}
		if head[0] == 'K' {
			binary.BigEndian.PutUint32(body, binary.BigEndian.Uint32(body)^0x5555)
		}
		if _, err := client.Write(append(head[:5:5], body...)); err != nil {
			return
		}
	}
}

func TestMode_AutoFindsAPoolerAndSaysSo(t *testing.T) {
	t.Parallel()
	direct, pool := database(t)
	log := &lines{}
	a := join(t, proxied(t, direct), "a", func(c *singleton.Config) { c.Log = log.logger() })
	term := a.term(t)
	if s := a.Status(); s.Mode != singleton.Lease || !strings.Contains(s.ModeReason, "pooler") {
		t.Fatalf("mode %s, %s", s.Mode, s.ModeReason)
	}
	if log.count("lock mode") != 1 {
		t.Fatalf("the mode was not said once:\n%s", log.text())
	}
	if err := effect(within(t), term, pool); err != nil {
		t.Fatal(err)
	}
	b := join(t, direct, "b", nil)
	if err := b.WaitState(within(t), singleton.Passive); err != nil {
		t.Fatal(err)
	}
	if s := b.Status(); s.Mode != singleton.Session {
		t.Fatalf("mode %s, %s", s.Mode, s.ModeReason)
	}
	until(t, "a session-mode standby sees the lease", func() bool { return b.Status().Holder == "a" })
	a.leave(t)
	if next := b.term(t); !next.Clean() {
		t.Fatal("the handover from lease to session mode was not clean")
	}
}

func TestLease_HandsOverAndReplacesASilentHolder(t *testing.T) {
	t.Parallel()
	url, pool := database(t)
	lease := func(c *singleton.Config) { c.Mode = singleton.Lease }
	a := join(t, url, "a", lease)
	a.term(t)
	b := join(t, url, "b", lease)
	a.leave(t)
	if next := b.term(t); !next.Clean() || next.Epoch() != 2 {
		t.Fatalf("epoch %d, clean %t", next.Epoch(), next.Clean())
	}
	b.leave(t)
	// A holder that never beats.
	var outcome string
	err := pool.QueryRow(within(t), `SELECT outcome FROM singleton_grant('lock', 0, 'lease', 'ghost', '', '', 0, 0, '', 0, 0)`).Scan(&outcome)
	if err != nil || outcome != "acquired" {
		t.Fatalf("the ghost did not get the lock: %s %v", outcome, err)
	}
	c := join(t, url, "c", lease)
	next := c.term(t)
	if next.Clean() {
		t.Fatal("the ghost did not release")
	}
	if err := effect(within(t), next, pool); err != nil {
		t.Fatal(err)
	}
	takeovers, err := singleton.ReadTakeovers(within(t), pool, "lock")
	if err != nil || takeovers.Heartbeat != 1 {
		t.Fatalf("takeovers %+v, %v", takeovers, err)
	}
}

// The row alone keeps a beating holder safe from standbys of both modes.
func TestLease_ABeatingHolderIsLeftAlone(t *testing.T) {
	t.Parallel()
	url, _ := database(t)
	a := join(t, url, "a", func(c *singleton.Config) { c.Mode = singleton.Lease })
	term := a.term(t)
	join(t, url, "b", func(c *singleton.Config) { c.Mode = singleton.Lease })
	join(t, url, "c", func(c *singleton.Config) { c.Mode = singleton.Session })
	until(t, "50 beats", func() bool { return beats(t, a) >= 50 })
	if err := term.Check(); err != nil {
		t.Fatal(err)
	}
}

// A broken connection is no loss in lease mode: the row is renewed over another.
func TestLease_ABrokenConnectionIsReplaced(t *testing.T) {
	t.Parallel()
	url, pool := database(t)
	a := join(t, url, "a", func(c *singleton.Config) { c.Mode = singleton.Lease })
	term := a.term(t)
	if _, err := pool.Exec(within(t), `SELECT pg_terminate_backend(pid) FROM singleton_lease WHERE name = 'lock'`); err != nil {
		t.Fatal(err)
	}
	seen := beats(t, a)
	until(t, "24 more beats", func() bool { return beats(t, a) >= seen+24 })
	if err := term.Check(); err != nil {
		t.Fatal(err)
	}
}

// Through a pooler that hides itself, two instances in session mode are given one
// server process, which holds the lock for both. The registration shows it.
func TestSession_ASharedServerProcessIsFoundOut(t *testing.T) {
	t.Parallel()
	url, pool := database(t)
	a := join(t, url, "a", nil) // registers the lock's rows
	a.term(t)
	a.leave(t)
	conn, err := pool.Acquire(within(t))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Release()
	for _, try := range []struct{ instance, outcome string }{{"x", "acquired"}, {"y", "pooled"}, {"y", "pooled"}} {
		var outcome string
		err := conn.QueryRow(within(t), `SELECT outcome FROM singleton_grant('lock', $1, 'session', $2, '', '', 0, 1000, '', 0, 0)`,
			singleton.Key("lock"), try.instance).Scan(&outcome)
		if err != nil || outcome != try.outcome {
			t.Fatalf("%s: outcome %q, want %q, %v", try.instance, outcome, try.outcome, err)
		}
	}
}

// A database that takes no connection for a while ends a term of lease mode, as
// it must, and nothing else: the instance comes back with it.
func TestLease_ADatabaseThatIsAwayEndsTheTermOnly(t *testing.T) {
	t.Parallel()
	url, pool := database(t)
	pool.Close()
	a := join(t, url, "a", func(c *singleton.Config) { c.Mode = singleton.Lease })
	old := a.term(t)
	cfg, err := pgx.ParseConfig(url)
	if err != nil {
		t.Fatal(err)
	}
	name := cfg.Database
	cfg.Database = "postgres"
	conn, err := pgx.ConnectConfig(within(t), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	allow := func(yes bool) {
		t.Helper()
		if _, err := conn.Exec(within(t), fmt.Sprintf(`ALTER DATABASE %s ALLOW_CONNECTIONS %t`, pgx.Identifier{name}.Sanitize(), yes)); err != nil {
			t.Fatal(err)
		}
	}
	allow(false)
	if _, err := conn.Exec(within(t), `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1`, name); err != nil {
		t.Fatal(err)
	}
	select {
	case <-old.Context().Done():
	case <-time.After(patience):
		t.Fatal("the term goes on without a database")
	}
	allow(true)
	a.term(t)
}
