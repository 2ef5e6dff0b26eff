package wire

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/url"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
)

// The requests for encryption that a client may make before its start-up message.
const (
	sslRequest = 80877103
	gssRequest = 80877104
)

// Postgres starts a proxy for the database of url and returns the URL by which
// to reach it through the proxy. Each commit of a change is a point. writers are
// the functions of the schema that change something when they are selected from.
func Postgres(t testing.TB, j *Journal, url string, writers []string) string {
	t.Helper()
	server, err := pgconn.ParseConfig(url)
	if err != nil {
		t.Fatalf("wire: read the database URL: %v", err)
	}
	listener, err := new(net.ListenConfig).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("wire: %v", err)
	}
	p := &pgProxy{journal: j, listener: listener, reader: newReader(writers), open: map[net.Conn]bool{}}
	p.network, p.address = pgconn.NetworkAddress(server.Host, server.Port)
	p.running.Go(p.accept)
	t.Cleanup(p.close)
	return throughProxy(t, url, listener.Addr().String())
}

// throughProxy replaces the server's address. The proxy speaks no TLS.
func throughProxy(t testing.TB, address, proxy string) string {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatalf("wire: read the database URL: %v", err)
	}
	u.Host = proxy
	q := u.Query()
	q.Del("host") // of a unix socket
	q.Del("port")
	q.Set("sslmode", "disable")
	u.RawQuery = q.Encode()
	return u.String()
}

// pgProxy relays connections to one server.
type pgProxy struct {
	journal          *Journal
	listener         net.Listener
	network, address string
	reader           *reader
	running          sync.WaitGroup

	mu     sync.Mutex
	closed bool
	open   map[net.Conn]bool
}

func (p *pgProxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return // closed
		}
		p.running.Go(func() { p.serve(client) })
	}
}

func (p *pgProxy) close() {
	_ = p.listener.Close() // nothing is lost
	p.mu.Lock()
	p.closed = true
	for c := range p.open {
		_ = c.Close()
	}
	p.mu.Unlock()
	p.running.Wait()
}

// keep notes a connection, for close. It reports false when the proxy is closed.
func (p *pgProxy) keep(c net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.open[c] = true
	return !p.closed
}

func (p *pgProxy) drop(c net.Conn) {
	_ = c.Close() // its peer is gone or dead
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.open, c)
}

// serve relays one connection until either end closes it.
func (p *pgProxy) serve(client net.Conn) {
	defer p.drop(client)
	server, err := new(net.Dialer).DialContext(context.Background(), p.network, p.address)
	if err != nil {
		return
	}
	defer p.drop(server)
	if !p.keep(client) || !p.keep(server) {
		return
	}
	s := newSession(p.journal, p.reader, client, server)
	if s.begin() != nil {
		return
	}
	var answers sync.WaitGroup
	answers.Go(func() {
		_ = s.relayAnswers() // ends with either connection
		_ = client.Close()
		s.ended()
	})
	_ = s.relayRequests() // the same
	_ = server.Close()
	answers.Wait()
}

// message is one message of the protocol: its type and all its bytes.
type message struct {
	kind byte
	raw  []byte
}

func (m message) body() []byte { return m.raw[5:] }

// maxMessage bounds what a peer can make us allocate.
const maxMessage = 64 << 20

var errSize = errors.New("wire: a message has an impossible size")

func readMessage(r io.Reader) (message, error) {
	var head [5]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return message{}, err
	}
	size := binary.BigEndian.Uint32(head[1:])
	if size < 4 || size > maxMessage {
		return message{}, errSize
	}
	raw := make([]byte, 1+size)
	copy(raw, head[:])
	_, err := io.ReadFull(r, raw[5:])
	return message{head[0], raw}, err
}

// readStart reads the first message of a connection, which has no type.
func readStart(r io.Reader) (code uint32, raw []byte, err error) {
	var head [8]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return 0, nil, err
	}
	size := binary.BigEndian.Uint32(head[:])
	if size < 8 || size > maxMessage {
		return 0, nil, errSize
	}
	raw = make([]byte, size)
	copy(raw, head[:])
	_, err = io.ReadFull(r, raw[8:])
	return binary.BigEndian.Uint32(head[4:]), raw, err
}
