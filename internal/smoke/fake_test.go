package smoke_test

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
)

// refuser is a database server that lets nobody in.
func refuser(t testing.TB, code, text string) string {
	return listenPG(t, func(client net.Conn) {
		back := pgproto3.NewBackend(client, client)
		if _, err := back.ReceiveStartupMessage(); err != nil {
			return
		}
		back.Send(&pgproto3.ErrorResponse{Severity: "FATAL", Code: code, Message: text})
		_ = back.Flush()
	}) + "?sslmode=disable"
}

// plainOnly is a database server without TLS.
func plainOnly(t testing.TB) string {
	return listenPG(t, func(client net.Conn) {
		_, _ = io.ReadFull(client, make([]byte, 8))
		_, _ = client.Write([]byte("N"))
		_, _ = io.Copy(io.Discard, client)
	}) + "?sslmode=require"
}

// pooler stands before a database and announces processes of its own, as every
// pooler does.
func pooler(t testing.TB, database string) string {
	t.Helper()
	cfg, err := pgconn.ParseConfig(database)
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(database)
	if err != nil {
		t.Fatal(err)
	}
	address := listenPG(t, func(client net.Conn) {
		network, name := pgconn.NetworkAddress(cfg.Host, cfg.Port)
		server, err := net.Dial(network, name)
		if err != nil {
			return
		}
		defer server.Close()
		back, front := pgproto3.NewBackend(client, client), pgproto3.NewFrontend(server, server)
		start, err := back.ReceiveStartupMessage()
		if err != nil {
			return
		}
		front.Send(start)
		if front.Flush() != nil {
			return
		}
		for {
			m, err := front.Receive()
			if err != nil {
				return
			}
			key, renumber := m.(*pgproto3.BackendKeyData)
			if renumber {
				key.ProcessID += 100_000
			}
			back.Send(m)
			if back.Flush() != nil {
				return
			}
			if _, ready := m.(*pgproto3.ReadyForQuery); ready {
				break
			}
		}
		go func() { _, _ = io.Copy(server, client); _ = server.Close() }()
		_, _ = io.Copy(client, server)
	})
	p, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	p.User, p.Path, p.RawQuery = url.User(cfg.User), u.Path, "sslmode=disable"
	return p.String()
}

// listenPG serves connections until the test ends and returns a URL.
func listenPG(t testing.TB, serve func(net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var open []net.Conn
	var running sync.WaitGroup
	running.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			open = append(open, c)
			mu.Unlock()
			running.Go(func() { defer c.Close(); serve(c) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		mu.Lock()
		for _, c := range open {
			_ = c.Close()
		}
		mu.Unlock()
		running.Wait()
	})
	return "postgres://kiosk:a-secret-password@" + l.Addr().String() + "/kiosk"
}

// clockProxy passes everything on, with a clock of its own.
func clockProxy(t testing.TB, to string, ahead time.Duration) string {
	t.Helper()
	target, err := url.Parse(to)
	if err != nil {
		t.Fatal(err)
	}
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target) },
		ModifyResponse: func(r *http.Response) error {
			r.Header.Set("Date", time.Now().Add(ahead).UTC().Format(http.TimeFormat))
			return nil
		},
	}
	return serveHTTP(t, proxy)
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

// webhook is an address that answers every delivery with the next of the statuses,
// and with the last one from then on.
func webhook(t testing.TB, statuses ...int) string {
	var mu sync.Mutex
	return serveHTTP(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		status := statuses[0]
		if len(statuses) > 1 {
			statuses = statuses[1:]
		}
		w.WriteHeader(status)
	}))
}

// instance is an address at which somebody calls himself an instance.
func instance(t testing.TB, health string) string {
	return serveHTTP(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/health") {
			_, _ = io.WriteString(w, health)
			return
		}
		w.WriteHeader(http.StatusUnauthorized)
	}))
}
