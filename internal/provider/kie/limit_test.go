package kie_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"kiosk/internal/provider"
	"kiosk/internal/provider/kie"
)

// clocked is a server that accepts everything and notes when.
type clocked struct {
	mu sync.Mutex
	at map[string][]time.Time // by host
}

func (c *clocked) RoundTrip(r *http.Request) (*http.Response, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at[r.URL.Host] = append(c.at[r.URL.Host], time.Now())
	body := io.NopCloser(strings.NewReader(`{"code":200,"data":{"taskId":"t","state":"waiting"}}`))
	return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: body, Request: r}, nil
}

func (c *clocked) times(host string) []time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at[host]
}

// registered is the clocked server, known to the one transport that all clients
// share as clocked://. It is refused a second time, as with -count=2.
var registered = sync.OnceValue(func() *clocked {
	c := &clocked{at: map[string][]time.Time{}}
	http.DefaultTransport.(*http.Transport).RegisterProtocol("clocked", c)
	return c
})

// The clock of these calls is not the real one.
func TestCall_KeepsKiesLimits(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		limit  int
		period time.Duration
		call   func(*kie.Client, context.Context) error
	}{
		"creates": {20, 10 * time.Second, func(c *kie.Client, ctx context.Context) error { _, err := c.Submit(ctx, image()); return err }},
		"reads":   {10, time.Second, func(c *kie.Client, ctx context.Context) error { _, err := c.Fetch(ctx, "x"); return err }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := registered()
			synctest.Test(t, func(t *testing.T) {
				client := dial(t, "clocked://"+name)
				before := len(server.times(name))
				for range 5 * c.limit {
					if err := c.call(client, t.Context()); err != nil {
						t.Fatal(err)
					}
				}
				at := server.times(name)[before:]
				for i := c.limit; i < len(at); i++ {
					if gap := at[i].Sub(at[i-c.limit]); gap < c.period {
						t.Fatalf("calls %d to %d were made within %s", i-c.limit, i, gap)
					}
				}
			})
		})
	}
}

func TestCall_WaitingForTheLimitEndsWithItsContext(t *testing.T) {
	t.Parallel()
	server := registered()
	synctest.Test(t, func(t *testing.T) {
		client := dial(t, "clocked://ending")
		before := len(server.times("ending"))
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		made := 0
		var err error
		for err == nil {
			if _, err = client.Submit(ctx, image()); err == nil {
				made++
			}
		}
		check(t, err, failure{provider.Refused, provider.Unreachable, 0, time.Second})
		if sent := len(server.times("ending")) - before; sent != made || made == 0 {
			t.Errorf("%d calls were sent, %d succeeded", sent, made)
		}
	})
}
