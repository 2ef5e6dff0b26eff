package wire

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"sync"
	"testing"
)

// Target says where calls go, and may wait until there is such a place.
type Target func(context.Context) (*url.URL, error)

// Fixed is a target that is always there.
func Fixed(t testing.TB, address string) Target {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatalf("wire: %v", err)
	}
	return func(context.Context) (*url.URL, error) { return u, nil }
}

// HTTP starts a proxy for calls to target and returns its address. Each call to
// which label gives a name is a point. A call that is cut has no answer: its
// connection ends.
func HTTP(t testing.TB, j *Journal, target Target, label func(*http.Request) string) string {
	t.Helper()
	p := &httpProxy{journal: j, target: target, label: label, transport: &http.Transport{MaxIdleConnsPerHost: 16}}
	server := httptest.NewServer(p)
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
		p.transport.CloseIdleConnections()
	})
	return server.URL
}

type httpProxy struct {
	journal   *Journal
	target    Target
	label     func(*http.Request) string
	transport *http.Transport
}

var errSwallowed = errors.New("wire: the answer was swallowed")

func (p *httpProxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	to, err := p.target(r.Context())
	if err != nil {
		panic(http.ErrAbortHandler) // whoever called has left
	}
	side := p.journal.meet(p.label(r))
	if side == Before {
		p.journal.spring()
		panic(http.ErrAbortHandler)
	}
	relay := httputil.ReverseProxy{
		Rewrite:   func(r *httputil.ProxyRequest) { r.SetURL(to) },
		Transport: p.transport,
		ModifyResponse: func(resp *http.Response) error {
			if side != After {
				return nil
			}
			_, _ = io.Copy(io.Discard, resp.Body) // whole or not, it has come
			p.journal.spring()
			return errSwallowed
		},
		ErrorHandler: func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) },
	}
	relay.ServeHTTP(w, r)
}

// Door is where the world finds the process that serves at the moment. Calls
// wait while there is none, as those to a platform that starts a new one do.
type Door struct {
	mu     sync.Mutex
	to     *url.URL
	opened chan struct{} // closed while there is a process
}

// NewDoor returns a door behind which nobody is yet.
func NewDoor() *Door { return &Door{opened: make(chan struct{})} }

// Open lets calls through to a process.
func (d *Door) Open(address string) error {
	to, err := url.Parse(address)
	if err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.to = to
	close(d.opened)
	return nil
}

// Shut makes calls wait. The door must be open.
func (d *Door) Shut() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.opened = make(chan struct{})
}

// Target waits for the door to open.
func (d *Door) Target(ctx context.Context) (*url.URL, error) {
	d.mu.Lock()
	opened := d.opened
	d.mu.Unlock()
	select {
	case <-opened:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.to, nil
}
