package app

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"net/http"
	"strconv"
	"time"

	"github.com/google/uuid"

	"kiosk/internal/inbox"
	"kiosk/internal/provider/kie"
	"kiosk/internal/telegram"
	"kiosk/internal/trace"
)

// The sources of the inbox.
const (
	sourceTelegram = "telegram"
	sourceKie      = "kie"
)

const telegramPath = "/webhook/telegram"

func (a *App) routes() *http.ServeMux {
	mux := http.NewServeMux()
	a.console.Routes(mux)
	mux.Handle("POST "+telegramPath, a.followed("webhook telegram", newTrace, a.receiver.Handler(inbox.Endpoint{
		Source: sourceTelegram, MaxBody: 2 << 20,
		Authorize: a.fromTelegram,
		Open:      func(_ *http.Request, body []byte) inbox.Envelope { return openUpdate(body) },
	})))
	mux.Handle("POST /callback/kie/{generation}/{token}", a.followed("callback kie", traceOfOrder, a.receiver.Handler(inbox.Endpoint{
		Source: sourceKie, MaxBody: 1 << 20,
		Authorize: a.fromKie,
		Verify:    a.signedByKie,
		Open:      openCallback,
	})))
	return mux
}

func newTrace(*http.Request) (id trace.ID, isNew bool) { return trace.New(), true }

// traceOfOrder is the generation's id, which its callback's address names.
func traceOfOrder(r *http.Request) (id trace.ID, isNew bool) {
	id, err := uuid.Parse(r.PathValue("generation"))
	if err != nil {
		return newTrace(r) // it will not be let in
	}
	return id, false
}

func (a *App) fromTelegram(r *http.Request) bool {
	given := r.Header.Get("X-Telegram-Bot-Api-Secret-Token")
	if a.gate.Admit(r.Context(), given) {
		return true
	}
	if given != "" { // who scans the network sends none
		a.noteRefused()
	}
	return false
}

// noteRefused says at most once a minute that a delivery had another secret.
func (a *App) noteRefused() {
	now, last := time.Now().UnixNano(), a.refusedAt.Load()
	if now-last > int64(time.Minute) && a.refusedAt.CompareAndSwap(last, now) {
		a.log.Warn("delivery refused", "error", "its secret is not this instance's; give all instances one TELEGRAM_WEBHOOK_SECRET and restart the ACTIVE one")
	}
}

// openUpdate says what an update is without acting on it. What is no update is
// kept under the hash of its bytes.
func openUpdate(body []byte) inbox.Envelope {
	u, err := telegram.Decode(body)
	if err != nil {
		return inbox.Envelope{Key: "sha256:" + digest(body), Undecodable: true}
	}
	return inbox.Envelope{
		Key: strconv.FormatInt(u.ID, 10), Lane: strconv.FormatInt(u.UserID(), 10),
		Queue: u.Queue(), Position: u.ID,
	}
}

func digest(body []byte) string {
	sum := sha256.Sum256(body)
	return hex.EncodeToString(sum[:])
}

// callbackURL is where the provider reports about one generation. Its last part
// cannot be guessed, since KIE's signature does not cover the body.
func (a *App) callbackURL(id uuid.UUID) string {
	if a.cfg.WebhookURL == "" {
		return ""
	}
	return a.cfg.WebhookURL + "/callback/kie/" + id.String() + "/" + a.callbackToken(id)
}

func (a *App) callbackToken(id uuid.UUID) string {
	mac := hmac.New(sha256.New, []byte(a.cfg.derived("kiosk kie callback")))
	mac.Write(id[:])
	return hex.EncodeToString(mac.Sum(nil)[:16])
}

func (a *App) fromKie(r *http.Request) bool {
	id, err := uuid.Parse(r.PathValue("generation"))
	given := r.PathValue("token")
	return err == nil && subtle.ConstantTimeCompare([]byte(given), []byte(a.callbackToken(id))) == 1
}

func (a *App) signedByKie(r *http.Request, body []byte) bool {
	key := a.cfg.KieHMAC.Reveal()
	return key == "" || kie.VerifySignature(key, r.Header, kie.CallbackTaskID(body), time.Now())
}

// openCallback files a callback under its generation. Equal bodies about one
// generation are one message.
func openCallback(r *http.Request, body []byte) inbox.Envelope {
	id := r.PathValue("generation")
	return inbox.Envelope{Key: id + ":" + digest(body)[:32], Lane: id}
}
