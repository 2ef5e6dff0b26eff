package console_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"kiosk/internal/catalog"
	"kiosk/internal/console"
	"kiosk/internal/pg"
	"kiosk/internal/pg/pgtest"
	"kiosk/singleton"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Run(m)) }

const lockName = "console-test"

// instance is one running console with the parts that it reads.
type instance struct {
	*console.Console
	gate     *gate
	pool     *pgxpool.Pool
	elector  *singleton.Elector
	catalog  *catalog.Catalog
	database string // its URL, past the gate
	server   string
}

// options of an instance; all may be empty.
type options struct {
	database string // shared with another instance
	lockURL  string // in place of the database's
	name     string
	log      func(singleton.Config) singleton.Config
}

// newInstance builds an instance. Its elector does not campaign yet.
func newInstance(t *testing.T, o options) *instance {
	t.Helper()
	i := &instance{database: o.database}
	if i.database == "" {
		i.database = pgtest.URL(t)
	}
	through := ""
	i.gate, through = newGate(t, i.database)
	i.pool = pgtest.Pool(t, through)
	cfg := singleton.Config{Name: lockName, URL: i.database, Instance: o.name}
	if o.lockURL != "" {
		cfg.URL = o.lockURL
	}
	if o.log != nil {
		cfg = o.log(cfg)
	}
	var err error
	if i.elector, err = singleton.New(cfg); err != nil {
		t.Fatal(err)
	}
	i.build(t, through)
	return i
}

func (i *instance) build(t *testing.T, url string) {
	t.Helper()
	migrator, err := pg.NewMigrator(url, "v1.2.3", pg.Migrations())
	if err != nil {
		t.Fatal(err)
	}
	if i.catalog, err = catalog.Embedded(); err != nil {
		t.Fatal(err)
	}
	i.Console, err = console.New(console.Deps{
		Version: "v1.2.3", LockName: lockName, Pool: i.pool, Elector: i.elector, Migrator: migrator, Catalog: i.catalog,
		MaxAge: time.Nanosecond, // a test that changes a row wants to see it
	})
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	i.Routes(mux)
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	i.server = server.URL
}

// campaign runs the elector until the returned function or the end of the test.
func (i *instance) campaign(t *testing.T) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		work := func(ctx context.Context, _ *singleton.Term) error { <-ctx.Done(); return nil }
		if err := i.elector.Run(ctx, work); err != nil {
			t.Errorf("the elector: %v", err)
		}
	}()
	stop = func() { cancel(); <-ended }
	t.Cleanup(stop)
	return stop
}

// reaches waits until the elector is in the state.
func (i *instance) reaches(t *testing.T, s singleton.State) {
	t.Helper()
	if err := i.elector.WaitState(soon(t), s); err != nil {
		t.Fatal(err)
	}
}

// activeInstance is an instance that holds the lock.
func activeInstance(t *testing.T) *instance {
	t.Helper()
	i := newInstance(t, options{name: "first"})
	i.campaign(t)
	i.reaches(t, singleton.Active)
	return i
}

// soon bounds what a test may wait.
func soon(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// get asks for a page. Every answer is JSON, for this moment only, and names
// nothing of the database's URL.
func (i *instance) get(t *testing.T, path string) (int, map[string]any) {
	t.Helper()
	r, err := http.NewRequestWithContext(soon(t), http.MethodGet, i.server+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if h := resp.Header; h.Get("Content-Type") != "application/json" || h.Get("Cache-Control") != "no-store" {
		t.Errorf("%s: headers %v", path, h)
	}
	cfg := i.pool.Config().ConnConfig
	for _, secret := range []string{cfg.Password, cfg.Database, i.gate.listener.Addr().String(), hidden, "postgres"} {
		if strings.Contains(string(raw), secret) {
			t.Errorf("%s tells %q: %s", path, secret, raw)
		}
	}
	var body map[string]any
	if err := json.Unmarshal(raw, &body); err != nil {
		t.Fatalf("%s: %s: %v", path, raw, err)
	}
	return resp.StatusCode, body
}

// wants asks for a page, checks its status code and some of its fields, and
// returns it.
func (i *instance) wants(t *testing.T, path string, status int, fields map[string]any) map[string]any {
	t.Helper()
	got, body := i.get(t, path)
	if got != status {
		t.Errorf("%s: %d %v, want %d", path, got, body, status)
	}
	for name, want := range fields {
		if value, ok := at(body, name); !ok || value != want {
			t.Errorf("%s: %s is %v, want %v", path, name, value, want)
		}
	}
	return body
}

// at returns what stands at a path such as lock.state.
func at(body map[string]any, path string) (any, bool) {
	var value any = body
	for name := range strings.SplitSeq(path, ".") {
		object, ok := value.(map[string]any)
		if !ok {
			return nil, false
		}
		if value, ok = object[name]; !ok {
			return nil, false
		}
	}
	return value, true
}
