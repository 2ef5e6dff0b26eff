package telegram_test

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"

	"kiosk/internal/telegram"
)

// gate answers calls once a number of them wait together.
type gate struct {
	size  int
	mu    sync.Mutex
	open  chan struct{}
	count int
}

func (g *gate) wait() {
	g.mu.Lock()
	open := g.open
	if g.count++; g.count == g.size {
		close(open)
		g.open, g.count = make(chan struct{}), 0
	}
	g.mu.Unlock()
	<-open
}

// Calls that are under way together need a connection each. The next ones, and
// downloads, use the same.
func TestCall_ConnectionsAreUsedAgain(t *testing.T) {
	t.Parallel()
	const together, rounds = 48, 3
	g := &gate{size: together, open: make(chan struct{})}
	var opened atomic.Int64
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/bot"+token+"/getMe" {
			g.wait()
		}
		_, _ = io.WriteString(w, `{"ok":true,"result":{"id":1,"file_path":"a.jpg"}}`)
	}))
	server.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			opened.Add(1)
		}
	}
	server.Start()
	t.Cleanup(server.Close)
	b := dial(t, server.URL)
	for range rounds {
		var calls sync.WaitGroup
		for range together {
			calls.Go(func() {
				if _, err := b.GetMeWithContext(soon(t), nil); err != nil {
					t.Error(err)
				}
			})
		}
		calls.Wait()
		body, _, err := telegram.Download(soon(t), b, "f")
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, body)
		body.Close()
	}
	if n := opened.Load(); n != together {
		t.Errorf("%d connections for %d rounds of %d calls, want %d", n, rounds, together, together)
	}
}
