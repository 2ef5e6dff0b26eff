// Package apptest builds the world around an instance for tests: the two
// simulators behind one HTTP server, a fresh database, and people who type and
// press. Everything in it speaks the real wire protocols; nothing in the product
// knows that it is tested.
package apptest

import (
	"context"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"kiosk/internal/app"
	"kiosk/internal/generation"
	"kiosk/internal/pg/pgtest"
	"kiosk/internal/simulator/kiesim"
	"kiosk/internal/simulator/telegramsim"
)

// Patience bounds every wait for an event. Reaching it fails the test.
const Patience = 90 * time.Second

// Token and the other identities open nothing but the simulators of a test.
const (
	Token   = "700000000:test-token-that-only-the-simulator-knows"
	KieKey  = "test-kie-key"
	HMACKey = "test-hmac-key"
)

// World is everything around the instances of one test.
type World struct {
	T        testing.TB
	Telegram *telegramsim.Server
	Kie      *kiesim.Server
	SimURL   string
	Database string // URL

	Watch app.Watch // of the instances that are started from now on
	Log   io.Writer // gets all that they log, too; nil: only the test's output

	// Settle is how long an instance works before it sweeps; 0 means a minute.
	Settle time.Duration

	logged *record
}

// Takes is how long a simulated generation takes.
const Takes = 300 * time.Millisecond

// New starts the simulators and makes a database. All of it ends with the test.
func New(t testing.TB) *World {
	t.Helper()
	w := &World{T: t, Database: pgtest.URL(t), logged: newRecord()}
	var err error
	w.Telegram, err = telegramsim.New(telegramsim.Config{Token: Token, RetryBase: 50 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	w.Kie, err = kiesim.New(kiesim.Config{
		APIKey: KieKey, HMACKey: HMACKey, NoRateLimit: true, Backoff: 50 * time.Millisecond,
		Duration: func(string) time.Duration { return Takes },
	})
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle("/kie/", http.StripPrefix("/kie", w.Kie))
	mux.Handle("/", w.Telegram)
	server := httptest.NewServer(mux)
	w.SimURL = server.URL
	w.Telegram.SetBaseURL(server.URL)
	w.Kie.SetBaseURL(server.URL + "/kie")
	t.Cleanup(func() {
		_ = w.Telegram.Close()
		_ = w.Kie.Close()
		server.CloseClientConnections()
		server.Close()
	})
	return w
}

// Settings are an instance's environment. base is the public address.
func (w *World) Settings(base string) map[string]string {
	return map[string]string{
		"TELEGRAM_BOT_TOKEN": Token, "TELEGRAM_API_URL": w.SimURL,
		"DATABASE_URL": w.Database, "KIE_API_KEY": KieKey, "KIE_API_URL": w.SimURL + "/kie", "KIE_UPLOAD_URL": w.SimURL + "/kie", "KIE_WEBHOOK_HMAC_KEY": HMACKey,
		"ADMIN_IDS": "1", "WEBHOOK_BASE_URL": base, "WELCOME_CREDIT": "100", "LOG_LEVEL": "debug", "LOG_FORMAT": "text",
	}
}

// Start runs an instance in this process until the test ends and waits until
// updates can reach it. change may adapt its settings.
func (w *World) Start(limits generation.Limits, change map[string]string) *app.App {
	w.T.Helper()
	a, _ := w.Launch(limits, change)
	if err := a.WaitServing(w.Context()); err != nil {
		w.T.Fatalf("the instance does not serve: %v", err)
	}
	return a
}

// Run runs an instance in this process and waits for nothing. The instance stops
// when the returned function is called, or the test ends.
func (w *World) Run(change map[string]string) (stop func()) {
	w.T.Helper()
	_, stop = w.Launch(generation.Limits{}, change)
	return stop
}

// Launch is Start without the wait; stop ends the instance before the test ends.
func (w *World) Launch(limits generation.Limits, change map[string]string) (a *app.App, stop func()) {
	w.T.Helper()
	listener, err := new(net.ListenConfig).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		w.T.Fatal(err)
	}
	values := w.Settings("http://" + listener.Addr().String())
	maps.Copy(values, change)
	getenv := func(name string) (string, bool) { v, ok := values[name]; return v, ok }
	cfg, err := app.LoadConfig(getenv)
	if err != nil {
		w.T.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	a, err = app.New(ctx, cfg, app.Options{Version: "test", Log: w.log(), Limits: limits, Listener: listener, Watch: w.Watch, Settle: w.Settle, Getenv: getenv})
	if err != nil {
		cancel()
		w.T.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			w.T.Errorf("the instance stopped with %v", err)
		}
	})
	w.T.Cleanup(stop)
	return a, stop
}

// Context ends with Patience.
func (w *World) Context() context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	w.T.Cleanup(cancel)
	return ctx
}
