package pg_test

import (
	"encoding/binary"
	"io"
	"net"
	"net/url"
	"slices"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"kiosk/internal/pg"
	"kiosk/internal/pg/pgtest"
)

// pooler returns a URL that leads to the server through a process which greets
// with a key of its own, as PgBouncer does.
func pooler(t *testing.T, direct string) string {
	t.Helper()
	cfg, err := pgconn.ParseConfig(direct)
	if err != nil {
		t.Fatal(err)
	}
	network, address := pgconn.NetworkAddress(cfg.Host, cfg.Port)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial(network, address)
			if err != nil {
				client.Close()
				continue
			}
			go func() { _, _ = io.Copy(server, client); server.Close() }()
			go func() { _ = greet(client, server); client.Close() }()
		}
	}()
	u := url.URL{Scheme: "postgres", User: url.User(cfg.User), Host: listener.Addr().String(), Path: cfg.Database, RawQuery: "sslmode=disable"}
	return u.String()
}

// greet passes the server's messages on, with another process id in the greeting.
func greet(client io.Writer, server io.Reader) error {
	for head := make([]byte, 5); ; {
		if _, err := io.ReadFull(server, head); err != nil {
			return err
		}
		body := make([]byte, binary.BigEndian.Uint32(head[1:])-4)
		if _, err := io.ReadFull(server, body); err != nil {
			return err
		}
		if head[0] == 'K' {
			binary.BigEndian.PutUint32(body, 1<<30+binary.BigEndian.Uint32(body))
		}
		if _, err := client.Write(slices.Concat(head, body)); err != nil {
			return err
		}
		if head[0] == 'Z' {
			_, err := io.Copy(client, server)
			return err
		}
	}
}

// A transaction pooler hands sessions around, and with them the named statements
// of other clients.
func TestOpen_LeavesNoNamedStatementsBehindAPooler(t *testing.T) {
	t.Parallel()
	direct := pgtest.URL(t)
	for name, c := range map[string]struct {
		url  string
		kept bool
	}{"direct": {direct, true}, "pooler": {pooler(t, direct), false}} {
		pooled, err := pg.Pooled(t.Context(), c.url)
		if err != nil || pooled == c.kept {
			t.Fatalf("%s: pooled %v %v", name, pooled, err)
		}
		pool, err := pg.Open(t.Context(), c.url, pg.Options{ApplicationName: "test", MaxConns: 1, Pooled: pooled})
		if err != nil {
			t.Fatal(name, err)
		}
		defer pool.Close()
		var sum, named int
		if err := pool.QueryRow(t.Context(), "SELECT $1::int + 1", 1).Scan(&sum); err != nil || sum != 2 {
			t.Errorf("%s: %d %v", name, sum, err)
		}
		if err := pool.QueryRow(t.Context(), "SELECT count(*) FROM pg_prepared_statements WHERE statement LIKE '%int + 1'").Scan(&named); err != nil {
			t.Fatal(name, err)
		}
		if kept := named > 0; kept != c.kept {
			t.Errorf("%s: %d named statements", name, named)
		}
	}
}
