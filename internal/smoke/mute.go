package smoke

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"sync"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
)

// mute stands between one elector and the database and falls silent on demand, as
// a frozen or partitioned machine does: nothing passes, and nothing is closed.
//
// It makes the connection to the server itself, with the settings of the real
// URL, so TLS, its names and every way of logging in work as in production. On its
// own side it listens on the loopback for some seconds and asks for a password
// that only this process knows.
type mute struct {
	address  string // of the database
	password string
	listener net.Listener
	running  sync.WaitGroup

	closed chan struct{}

	mu     sync.Mutex
	silent bool
	woken  chan struct{} // closed and replaced by thaw
	open   []net.Conn
}

func newMute(ctx context.Context, address string) (*mute, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("open a port on the loopback: %w", err)
	}
	m := &mute{address: address, password: rand.Text(), listener: l, closed: make(chan struct{}), woken: make(chan struct{})}
	m.running.Go(m.accept)
	return m, nil
}

// url is how the elector reaches the database through m.
func (m *mute) url() string {
	u := url.URL{Scheme: "postgres", User: url.UserPassword("smoke", m.password), Host: m.listener.Addr().String(), Path: "/smoke", RawQuery: "sslmode=disable"}
	return u.String()
}

// silence lets nothing pass from now on.
func (m *mute) silence() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.silent = true
}

// thaw ends what was silent and lets new connections pass, as a machine that wakes
// up finds its old ones dead.
func (m *mute) thaw() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.silent = false
	for _, c := range m.open {
		_ = c.Close()
	}
	m.open = nil
	close(m.woken)
	m.woken = make(chan struct{})
}

// state says whether nothing passes, and how to learn of the end of that.
func (m *mute) state() (silent bool, woken <-chan struct{}) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.silent, m.woken
}

// close ends all connections and waits for everything that was started.
func (m *mute) close() {
	_ = m.listener.Close() // nothing is lost
	close(m.closed)
	m.mu.Lock()
	for _, c := range m.open {
		_ = c.Close()
	}
	m.mu.Unlock()
	m.running.Wait()
}

// keep notes a connection for close.
func (m *mute) keep(c net.Conn) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.open = append(m.open, c)
	select {
	case <-m.closed:
		_ = c.Close()
	default:
	}
}

func (m *mute) accept() {
	for {
		client, err := m.listener.Accept()
		if err != nil {
			return // closed
		}
		m.keep(client)
		m.running.Go(func() {
			_ = m.serve(client) // the elector sees the end of its connection
			_ = client.Close()
		})
	}
}

func (m *mute) serve(client net.Conn) error {
	back := pgproto3.NewBackend(client, client)
	if err := m.welcome(back, client); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	m.running.Go(func() {
		select {
		case <-m.closed:
			cancel()
		case <-ctx.Done():
		}
	})
	server, err := m.dial(ctx)
	if err != nil {
		return err
	}
	m.keep(server.Conn)
	defer func() { _ = server.Conn.Close() }() // it is read to its end
	if err := introduceServer(back, server); err != nil {
		return err
	}
	var down sync.WaitGroup
	down.Go(func() { m.relay(client, server.Conn) })
	m.relay(server.Conn, client)
	_ = server.Conn.Close()
	down.Wait()
	return nil
}

// welcome reads the start of a connection and checks the password.
func (m *mute) welcome(back *pgproto3.Backend, client net.Conn) error {
	first, err := back.ReceiveStartupMessage()
	if err != nil {
		return err
	}
	if _, ok := first.(*pgproto3.StartupMessage); !ok {
		return errors.New("want a plain start of a connection")
	}
	back.Send(&pgproto3.AuthenticationCleartextPassword{})
	if err := errors.Join(back.Flush(), back.SetAuthType(pgproto3.AuthTypeCleartextPassword)); err != nil {
		return err
	}
	answer, err := back.Receive()
	if err != nil {
		return err
	}
	given, ok := answer.(*pgproto3.PasswordMessage)
	if !ok || subtle.ConstantTimeCompare([]byte(given.Password), []byte(m.password)) != 1 {
		return errors.New("a stranger")
	}
	return nil
}

func (m *mute) dial(ctx context.Context) (*pgconn.HijackedConn, error) {
	conn, err := pgconn.Connect(ctx, m.address)
	if err != nil {
		return nil, err
	}
	if err := conn.SyncConn(ctx); err != nil {
		_ = conn.Close(ctx) // it is broken already
		return nil, err
	}
	return conn.Hijack()
}

// introduceServer tells the client what the server told us, so that it finds out
// the same things about it.
func introduceServer(back *pgproto3.Backend, server *pgconn.HijackedConn) error {
	back.Send(&pgproto3.AuthenticationOk{})
	for name, value := range server.ParameterStatuses {
		back.Send(&pgproto3.ParameterStatus{Name: name, Value: value})
	}
	back.Send(&pgproto3.BackendKeyData{ProcessID: server.PID, SecretKey: server.SecretKey})
	back.Send(&pgproto3.ReadyForQuery{TxStatus: 'I'})
	return back.Flush()
}

// relay copies until either end closes. Once m is silent it keeps what it reads,
// and the end of the connection, to itself.
func (m *mute) relay(to io.Writer, from io.Reader) {
	buf := make([]byte, 16<<10)
	for {
		n, err := from.Read(buf)
		if silent, woken := m.state(); silent {
			select {
			case <-woken:
			case <-m.closed:
			}
			return
		}
		if n > 0 {
			if _, err := to.Write(buf[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}
