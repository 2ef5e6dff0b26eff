package kie_test

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"kiosk/internal/provider/kie"
)

// Reads, creates and uploads that follow one another use one connection, and those
// that are under way together as many, again and again.
func TestCall_ConnectionsAreUsedAgain(t *testing.T) {
	t.Parallel()
	const together = 16
	var opened atomic.Int64
	var meet sync.WaitGroup
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "createTask") {
			meet.Done()
			meet.Wait()
		}
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = io.WriteString(w, `{"code":200,"data":{"taskId":"t","state":"waiting","downloadUrl":"http://a"}}`)
	}))
	server.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			opened.Add(1)
		}
	}
	server.Start()
	t.Cleanup(server.Close)
	c, err := kie.New(server.URL, apiKey, kie.UploadURL(server.URL))
	if err != nil {
		t.Fatal(err)
	}
	meet.Add(together)
	var calls sync.WaitGroup
	for range together {
		calls.Go(func() {
			if _, err := c.Submit(soon(t), image()); err != nil {
				t.Error(err)
			}
		})
	}
	calls.Wait()
	for range 3 {
		if _, err := c.Fetch(soon(t), "t"); err != nil {
			t.Error(err)
		}
		if _, err := c.Upload(soon(t), "a.png", strings.NewReader("x")); err != nil {
			t.Error(err)
		}
	}
	if n := opened.Load(); n != together {
		t.Errorf("%d connections, want %d", n, together)
	}
}
