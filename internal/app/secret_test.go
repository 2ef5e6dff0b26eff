package app_test

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"kiosk/internal/app"
	"kiosk/internal/app/apptest"
	"kiosk/internal/pg/pgtest"
	"kiosk/internal/simulator/telegramsim"
)

// status posts a fresh update with a secret until it is answered with the status.
func status(t *testing.T, a *app.App, secret string, want int) {
	t.Helper()
	deadline := time.Now().Add(apptest.Patience)
	for n := time.Now().UnixNano() / 1000; ; n++ {
		got := post(t, a.URL(), http.MethodPost, secret, fmt.Appendf(nil, `{"update_id":%d}`, n))
		if got == want {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("secret %q is answered with %d, want %d", secret, got, want)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// A deploy that changes the webhook's secret loses no update: old and new
// instances accept the old secret until Telegram uses the new one.
func TestWebhookSecret_AChangeLosesNothing(t *testing.T) {
	t.Parallel()
	const oldSecret, newSecret = "the-old-secret", "the-new-secret"
	w := apptest.New(t)
	old, stopOld := w.Launch(quick, map[string]string{"TELEGRAM_WEBHOOK_SECRET": oldSecret})
	if err := old.WaitServing(w.Context()); err != nil {
		t.Fatal(err)
	}
	p := w.Person("Ada", "en")
	p.Say("/start")
	p.WaitText("What shall we make")

	// The new one is PASSIVE, and the traffic has moved to it already.
	telegramFault(t, w, telegramsim.Fault{Method: "setWebhook", Action: "fail", Code: 500})
	fresh, _ := w.Launch(quick, map[string]string{"TELEGRAM_WEBHOOK_SECRET": newSecret})
	status(t, fresh, oldSecret, http.StatusOK)
	status(t, fresh, "a-stranger", http.StatusUnauthorized)

	// It takes over, and Telegram does not take the registration for a while.
	stopOld()
	w.WaitLog(func(log string) bool { return hasLine(log, `msg="webhook not registered"`) })
	status(t, fresh, oldSecret, http.StatusOK)

	// A third with the old setting, as another region may have, learns of it all.
	other, _ := w.Launch(quick, map[string]string{"TELEGRAM_WEBHOOK_SECRET": oldSecret})
	status(t, other, oldSecret, http.StatusOK)
	w.Telegram.ClearFaults()
	if err := fresh.WaitServing(w.Context()); err != nil {
		t.Fatal(err)
	}
	p.Say("/balance") // comes with the new secret
	p.WaitText("Balance: 100 ₽")
	pool := pgtest.Pool(t, w.Database)
	waitZero(t, pool, "the previous secret is kept", `SELECT count(*) FROM inbox_secrets WHERE previous IS NOT NULL OR registered_at IS NULL`)
	status(t, fresh, oldSecret, http.StatusUnauthorized)
	status(t, fresh, newSecret, http.StatusOK)
	status(t, other, newSecret, http.StatusOK)
	status(t, other, oldSecret, http.StatusUnauthorized)
}
