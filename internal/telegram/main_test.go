package telegram_test

import (
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"testing"

	"github.com/PaulSonOfLars/gotgbot/v2"
	"go.uber.org/goleak"

	"kiosk/internal/telegram"
)

// token is one that no text of the tests contains by chance.
const token = "7000000001:AAE-secret-part-of-the-token_0123456"

// TestMain fails the run when a goroutine outlives its call, such as the writer
// of a multipart body whose reader has gone.
func TestMain(m *testing.M) {
	code := m.Run()
	telegram.Connections.CloseIdleConnections()
	if err := goleak.Find(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = max(code, 1)
	}
	os.Exit(code)
}

// dial returns a bot that calls the server at url.
func dial(t testing.TB, url string) *gotgbot.Bot {
	t.Helper()
	b, err := telegram.New(token, url)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// serve returns a bot whose Bot API server is the handler.
func serve(t testing.TB, handler http.HandlerFunc) *gotgbot.Bot {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return dial(t, server.URL)
}

// reply answers every call the same way, after it has read the request.
func reply(status int, header http.Header, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // what came is not the matter
		maps.Copy(w.Header(), header)
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

// wire returns the address of a server below HTTP: each connection is given to
// script and closed after it.
func wire(t testing.TB, script func(net.Conn)) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			conn, err := listener.Accept()
			if err != nil {
				return // closed at the end of the test
			}
			script(conn)
			_ = conn.Close() // some scripts have closed it
		}
	}()
	t.Cleanup(func() { _ = listener.Close(); <-ended })
	return "http://" + listener.Addr().String()
}

// closedPort returns an address on which nobody can listen: the local end of an
// established connection.
func closedPort(t testing.TB) string {
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
	return conn.LocalAddr().String()
}
