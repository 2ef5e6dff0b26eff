package console_test

import (
	"io"
	"net"
	"net/url"
	"strconv"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// gate stands between a pool and its database, and can fail as networks do.
type gate struct {
	listener net.Listener
	network  string // of the database
	address  string

	flow sync.RWMutex // held for writing while nothing passes

	mu    sync.Mutex
	shut  bool
	conns []net.Conn
}

// hidden is the password in the URL that leads through a gate to a server that
// asks for none.
const hidden = "hidden-password"

// newGate returns a gate to the database, and the URL that leads through it.
func newGate(t *testing.T, database string) (*gate, string) {
	t.Helper()
	cfg, err := pgx.ParseConfig(database)
	if err != nil {
		t.Fatal(err)
	}
	g := &gate{}
	g.network, g.address = pgconn.NetworkAddress(cfg.Host, cfg.Port)
	if g.listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	var running sync.WaitGroup
	running.Go(func() { g.accept(&running) })
	t.Cleanup(func() {
		_ = g.listener.Close() // it served
		g.close()
		running.Wait()
	})
	password := cfg.Password
	if password == "" {
		password = hidden
	}
	through := url.URL{Scheme: "postgres", User: url.UserPassword(cfg.User, password), Host: g.listener.Addr().String(), Path: "/" + cfg.Database}
	return g, through.String()
}

func (g *gate) accept(running *sync.WaitGroup) {
	for {
		client, err := g.listener.Accept()
		if err != nil {
			return // closed at the end of the test
		}
		server, err := net.Dial(g.network, g.address)
		if err != nil || !g.keep(client, server) {
			_ = client.Close() // refused
			continue
		}
		running.Go(func() { g.pass(server, client) })
		running.Go(func() { g.pass(client, server) })
	}
}

// keep remembers a pair of connections, unless the gate is shut.
func (g *gate) keep(client, server net.Conn) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.shut {
		_ = server.Close() // not used
		return false
	}
	g.conns = append(g.conns, client, server)
	return true
}

func (g *gate) pass(to io.WriteCloser, from io.Reader) {
	defer to.Close()
	buffer := make([]byte, 32<<10)
	for {
		n, err := from.Read(buffer)
		g.flow.RLock()
		if n > 0 && err == nil {
			_, err = to.Write(buffer[:n])
		}
		g.flow.RUnlock()
		if err != nil {
			return
		}
	}
}

// close cuts every connection and refuses new ones.
func (g *gate) close() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.shut = true
	for _, c := range g.conns {
		_ = c.Close() // also those that have ended
	}
	g.conns = nil
}

// open lets new connections pass again.
func (g *gate) open() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.shut = false
}

// hold keeps everything back and closes nothing, until the returned function
// or the end of the test.
func (g *gate) hold(t *testing.T) (release func()) {
	t.Helper()
	g.flow.Lock()
	release = sync.OnceFunc(g.flow.Unlock)
	t.Cleanup(release)
	return release
}

// closedPort returns a port on which nobody can listen: the local end of an
// established connection.
func closedPort(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	conn, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return strconv.Itoa(conn.LocalAddr().(*net.TCPAddr).Port)
}
