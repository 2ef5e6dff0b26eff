package kie_test

import (
	"context"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"kiosk/internal/provider"
	"kiosk/internal/provider/kie"
)

// clocked is a server that accepts everything and notes when it arrived.
type clocked struct {
	way func() time.Duration // how long a request takes to arrive, and its answer to return

	mu sync.Mutex
	at []time.Time
}

func (c *clocked) RoundTrip(r *http.Request) (*http.Response, error) {
	time.Sleep(c.way())
	c.mu.Lock()
	c.at = append(c.at, time.Now())
	c.mu.Unlock()
	time.Sleep(c.way())
	body := io.NopCloser(strings.NewReader(`{"code":200,"data":{"taskId":"t","state":"waiting"}}`))
	return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: body, Request: r}, nil
}

func (c *clocked) client(t *testing.T) *kie.Client {
	t.Helper()
	client, err := kie.New("http://clocked", apiKey, kie.Via(c))
	if err != nil {
		t.Fatal(err)
	}
	return client
}

func atOnce() time.Duration { return 0 }

// within checks that no more than limit requests arrived in any period.
func (c *clocked) within(t *testing.T, limit int, period time.Duration) {
	t.Helper()
	slices.SortFunc(c.at, time.Time.Compare)
	for i := limit; i < len(c.at); i++ {
		if gap := c.at[i].Sub(c.at[i-limit]); gap < period {
			t.Fatalf("requests %d to %d arrived within %s", i-limit, i, gap)
		}
	}
}

func create(ctx context.Context, c *kie.Client) error { _, err := c.Submit(ctx, image()); return err }
func read(ctx context.Context, c *kie.Client) error   { _, err := c.Fetch(ctx, "x"); return err }

// together makes calls at the same time.
func together(t *testing.T, n int, c *kie.Client, call func(context.Context, *kie.Client) error) {
	t.Helper()
	var calls sync.WaitGroup
	for range n {
		calls.Go(func() {
			if err := call(t.Context(), c); err != nil {
				t.Error(err)
			}
		})
	}
	calls.Wait()
}

// The clock of these calls is not the real one.
func TestCall_KeepsKiesLimits(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		limit  int
		period time.Duration
		call   func(context.Context, *kie.Client) error
	}{
		"creates": {20, 10 * time.Second, create},
		"reads":   {10, time.Second, read},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				server := &clocked{way: atOnce}
				client := server.client(t)
				together(t, 2*c.limit, client, c.call)
				time.Sleep(c.period / 3)
				for range 3 * c.limit {
					if err := c.call(t.Context(), client); err != nil {
						t.Fatal(err)
					}
				}
				server.within(t, c.limit, c.period)
			})
		})
	}
}

// What counts is when requests arrive, and some are long on their way.
func TestSubmit_KeepsTheLimitThoughRequestsArriveLate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		server := &clocked{way: func() time.Duration { return rand.N(10 * time.Second) }}
		together(t, 400, server.client(t), create)
		server.within(t, 20, 10*time.Second)
	})
}

func TestSubmit_UsesTheWholeLimit(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		together(t, 100, (&clocked{way: atOnce}).client(t), create)
		if took := time.Since(began); took != 40*time.Second { // 20 at once, and 20 more every 10 s
			t.Errorf("100 creates took %s, want 40s", took)
		}
	})
}

func TestSubmit_WaitingForTheLimitEndsWithItsContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		server := &clocked{way: atOnce}
		client := server.client(t)
		together(t, 20, client, create)
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		for range 2 { // the second time at once
			check(t, create(ctx, client), failure{provider.Refused, provider.Unreachable, 0, time.Second})
		}
		if len(server.at) != 20 {
			t.Errorf("%d requests were sent, want 20", len(server.at))
		}
	})
}
