package app_test

import (
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"kiosk/internal/app"
	"kiosk/internal/app/apptest"
	"kiosk/internal/pg/pgtest"
)

// A copy of the database has the id of its lock domain, too: a staging system made
// from a backup, with the lock's address of production left in its settings.
func TestNew_ALockInACopyOfTheDatabaseIsRefused(t *testing.T) {
	t.Parallel()
	w := apptest.New(t)
	env := w.Settings("http://127.0.0.1:9")
	env["LOCK_DATABASE_URL"] = pgtest.URL(t) // both are copies of one template
	cfg, err := app.LoadConfig(func(name string) (string, bool) { v, ok := env[name]; return v, ok })
	if err != nil {
		t.Fatal(err)
	}
	a, err := app.New(t.Context(), cfg, app.Options{Version: "test", Log: slog.New(slog.DiscardHandler)})
	if err == nil {
		a.Close()
	}
	if err == nil || !strings.Contains(err.Error(), "the lock and the work are in two databases") {
		t.Errorf("the error is %v", err)
	}
}

// A delivery with another secret is named in the log, once a minute at most, and
// somebody who scans the network is not.
func TestWebhook_AnotherSecretIsNotedOnce(t *testing.T) {
	t.Parallel()
	w, log := apptest.New(t), &noise{}
	w.Log = log
	a := w.Start(quick, nil)
	for _, secret := range []string{"", "another", "another", "a third"} {
		if status := post(t, a.URL(), http.MethodPost, secret, []byte(`{"update_id":1}`)); status != http.StatusUnauthorized {
			t.Errorf("secret %q: %d", secret, status)
		}
	}
	if n := strings.Count(log.String(), "delivery refused"); n != 1 {
		t.Errorf("it is noted %d times, want once", n)
	}
}
