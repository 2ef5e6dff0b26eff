package kie_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"kiosk/internal/provider"
	"kiosk/internal/provider/kie"
	"kiosk/internal/simulator/kiesim"
)

const (
	apiKey  = "kie-0123456789-secret-key"
	hmacKey = "kie-webhook-secret"
)

// account is a client beside the simulated server that it talks to.
type account struct {
	*kie.Client
	sim *kiesim.Server
	url string
}

// simulate starts a server below /kie, as a base URL with a path. Options may
// change its configuration.
func simulate(t *testing.T, options ...func(*kiesim.Config)) account {
	t.Helper()
	cfg := kiesim.Config{
		APIKey: apiKey, HMACKey: hmacKey, NoRateLimit: true, Backoff: time.Millisecond,
		Duration: func(string) time.Duration { return 20 * time.Millisecond },
	}
	for _, change := range options {
		change(&cfg)
	}
	sim, err := kiesim.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(http.StripPrefix("/kie", sim))
	sim.SetBaseURL(server.URL + "/kie")
	t.Cleanup(func() {
		if err := sim.Close(); err != nil {
			t.Error(err)
		}
		server.Close()
	})
	url := server.URL + "/kie/"
	return account{dial(t, url), sim, url}
}

// fault scripts one misbehaviour of the server.
func (a account) fault(t *testing.T, f kiesim.Fault) {
	t.Helper()
	if err := a.sim.Fault(f); err != nil {
		t.Fatal(err)
	}
}

// ended fetches a task until it has ended. The client's own limit paces it.
func (a account) ended(t *testing.T, id string) provider.Task {
	t.Helper()
	ctx := soon(t)
	for {
		task, err := a.Fetch(ctx, id)
		if err != nil {
			t.Fatalf("fetch %s: %v", id, err)
		}
		if task.State == provider.Succeeded || task.State == provider.Failed {
			return task
		}
	}
}

func dial(t testing.TB, url string) *kie.Client {
	t.Helper()
	c, err := kie.New(url, apiKey)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// serve returns a client of a server that answers every request with text.
func serve(t testing.TB, status int, text string) *kie.Client {
	t.Helper()
	return handle(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, text)
	})
}

func handle(t testing.TB, h http.HandlerFunc) *kie.Client {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	return dial(t, server.URL)
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

// soon bounds what a test may wait.
func soon(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func image() provider.Request {
	return provider.Request{Model: "z-image", Input: map[string]any{"prompt": "a lighthouse at dawn", "aspect_ratio": "1:1"}}
}

// failure is what a failed call must say.
type failure struct {
	outcome provider.Outcome
	cause   provider.Cause
	code    int
	after   time.Duration
}

func check(t *testing.T, err error, want failure) {
	t.Helper()
	var e *provider.Error
	if !errors.As(err, &e) {
		t.Fatalf("%T %v, want a *provider.Error", err, err)
	}
	if got := (failure{e.Outcome, e.Cause, e.Code, e.After}); got != want {
		t.Errorf("%+v, want %+v: %v", got, want, err)
	}
	if e.Message == "" {
		t.Error("the error says nothing")
	}
	if strings.Contains(err.Error(), "secret") {
		t.Errorf("the key is in %q", err)
	}
}
