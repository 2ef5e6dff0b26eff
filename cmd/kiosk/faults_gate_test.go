package main

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
)

// gate is a way to a server that a test can shut and open again.
type gate struct {
	t       testing.TB
	address string // here
	handle  func(net.Conn)

	mu      sync.Mutex
	l       net.Listener
	open    []net.Conn
	running sync.WaitGroup
}

func newGate(t testing.TB, handle func(net.Conn)) *gate {
	t.Helper()
	g := &gate{t: t, address: "127.0.0.1:0", handle: handle}
	g.reopen()
	t.Cleanup(func() { g.shut(); g.running.Wait() })
	return g
}

func (g *gate) reopen() {
	l, err := new(net.ListenConfig).Listen(context.Background(), "tcp", g.address)
	if err != nil {
		g.t.Fatal(err)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.l, g.address = l, l.Addr().String()
	g.running.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			g.mu.Lock()
			g.open = append(g.open, c)
			g.mu.Unlock()
			g.running.Go(func() { defer c.Close(); g.handle(c) })
		}
	})
}

// shut cuts every connection and refuses new ones.
func (g *gate) shut() {
	g.mu.Lock()
	defer g.mu.Unlock()
	_ = g.l.Close() // it may be shut
	for _, c := range g.open {
		_ = c.Close()
	}
	g.open = nil
}

// pipe copies both ways until one side ends.
func pipe(client, server net.Conn) {
	var back sync.WaitGroup
	back.Go(func() { _, _ = io.Copy(server, client); _ = server.Close() })
	_, _ = io.Copy(client, server)
	_ = client.Close()
	back.Wait()
}

// plainGate leads to an address.
func plainGate(t testing.TB, address string) *gate {
	return newGate(t, func(client net.Conn) {
		server, err := net.Dial("tcp", address)
		if err == nil {
			pipe(client, server)
		}
	})
}

// databaseGate leads to a database; with renumber it announces server processes
// of its own, as poolers do.
func databaseGate(t testing.TB, database string, renumber bool) (*gate, string) {
	t.Helper()
	cfg, err := pgconn.ParseConfig(database)
	if err != nil {
		t.Fatal(err)
	}
	network, address := pgconn.NetworkAddress(cfg.Host, cfg.Port)
	g := newGate(t, func(client net.Conn) {
		server, err := net.Dial(network, address)
		if err != nil {
			return
		}
		defer server.Close()
		if renumber && !greet(client, server) {
			return
		}
		pipe(client, server)
	})
	u, err := url.Parse(database)
	if err != nil {
		t.Fatal(err)
	}
	return g, (&url.URL{Scheme: "postgres", User: url.User(cfg.User), Host: g.address, Path: u.Path, RawQuery: "sslmode=disable"}).String()
}

// greet passes the greeting on with another number of the server process.
func greet(client, server net.Conn) bool {
	back, front := pgproto3.NewBackend(client, client), pgproto3.NewFrontend(server, server)
	start, err := back.ReceiveStartupMessage()
	if err != nil {
		return false
	}
	front.Send(start)
	for err = front.Flush(); err == nil; err = back.Flush() {
		m, broken := front.Receive()
		if broken != nil {
			return false
		}
		if key, ok := m.(*pgproto3.BackendKeyData); ok {
			key.ProcessID += 100_000
		}
		back.Send(m)
		if _, ready := m.(*pgproto3.ReadyForQuery); ready {
			return back.Flush() == nil
		}
	}
	return false
}

// refuser is a database server that lets nobody in.
func refuser(t testing.TB, code, text string) string {
	g := newGate(t, func(client net.Conn) {
		back := pgproto3.NewBackend(client, client)
		if _, err := back.ReceiveStartupMessage(); err != nil {
			return
		}
		back.Send(&pgproto3.ErrorResponse{Severity: "FATAL", Code: code, Message: text})
		_ = back.Flush()
	})
	return "postgres://kiosk:a-wrong-password@" + g.address + "/kiosk?sslmode=disable"
}

// clockProxy passes everything on, with a clock of its own.
func clockProxy(t testing.TB, to string, ahead time.Duration) string {
	t.Helper()
	target, err := url.Parse(to)
	if err != nil {
		t.Fatal(err)
	}
	return serveHTTP(t, &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target) },
		ModifyResponse: func(r *http.Response) error {
			r.Header.Set("Date", time.Now().Add(ahead).UTC().Format(http.TimeFormat))
			return nil
		},
	})
}

func serveHTTP(t testing.TB, h http.Handler) string {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
	return server.URL
}

// lines returns what the transcript has from an offset on.
func (l *transcript) since(offset int) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()[offset:]
}

func (l *transcript) len() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Len()
}
