package smoke

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/PaulSonOfLars/gotgbot/v2"

	"kiosk/internal/provider"
	"kiosk/internal/provider/kie"
	"kiosk/internal/telegram"
)

func serviceChecks() []check {
	token := []string{"TELEGRAM_BOT_TOKEN", "TELEGRAM_API_URL"}
	hook := []string{"BOT_MODE", "WEBHOOK_BASE_URL"}
	return []check{
		{name: checkToken, settings: token, limit: 5 * time.Second, run: botToken},
		{name: checkWebhook, settings: hook, needs: []string{checkToken}, limit: 5 * time.Second, run: webhook},
		{name: checkSecret, needs: []string{checkWebhook}, limit: time.Second, run: secret},
		{name: "telegram delivery", needs: []string{checkSecret}, unless: []string{checkInbox, checkAddress}, limit: time.Second, run: delivery},
		{name: "telegram updates", needs: []string{checkWebhook}, limit: time.Second, run: updates},
		{name: checkKieKey, settings: []string{"KIE_API_KEY", "KIE_API_URL"}, limit: 6 * time.Second, run: kieAccount},
		{name: checkCredits, needs: []string{checkKieKey, checkModels}, limit: time.Second, run: credits},
	}
}

func botToken(ctx context.Context, r *run) finding {
	api, err := telegram.New(r.Token, r.TelegramURL)
	if err != nil {
		return fail(tgToken, "it has not the form 123456:ABC-DEF")
	}
	me, err := api.GetMeWithContext(ctx, nil)
	if err != nil {
		return telegramTrouble(err)
	}
	return pass("@%s, id %d", me.Username, me.Id)
}

// telegramTrouble names why a call failed.
func telegramTrouble(err error) finding {
	e, ok := err.(*telegram.Error) //nolint:errorlint // the transport returns it as it is
	switch {
	case ok && e.Outcome == telegram.Refused && (e.Code == http.StatusUnauthorized || e.Code == http.StatusNotFound):
		return fail(tgToken, "%d %s", e.Code, e.Description)
	case ok && e.Code != 0:
		return fail(tgFailed, "%d %s", e.Code, e.Description)
	case ok:
		return fail(tgDown, "%s", e.Description)
	}
	return fail(tgFailed, "%s", err)
}

// webhookInfo is what Telegram says about the webhook, and when it was asked.
type webhookInfo struct {
	gotgbot.WebhookInfo
	errorAge time.Duration // 0 without an error
}

// webhook asks what Telegram has registered and keeps it for the other checks.
func webhook(ctx context.Context, r *run) finding {
	api, err := telegram.New(r.Token, r.TelegramURL)
	if err != nil {
		return fail(tgToken, "")
	}
	info, err := api.GetWebhookInfoWithContext(ctx, nil)
	if err != nil {
		return telegramTrouble(err)
	}
	r.hook = webhookInfo{WebhookInfo: *info}
	if info.LastErrorDate > 0 {
		r.hook.errorAge = max(time.Since(time.Unix(info.LastErrorDate, 0)).Round(time.Second), time.Second)
	}
	switch {
	case r.Webhook == "" && info.Url != "":
		return fail(tgHooked, "%s", withoutPath(info.Url))
	case r.Webhook == "":
		return pass("none, as polling needs")
	case info.Url == "":
		return fail(tgNoHook, "want %s", r.Webhook)
	case info.Url != r.Webhook:
		return fail(tgOtherHook, "%s, want %s", withoutPath(info.Url), r.Webhook)
	}
	return pass("%s", info.Url)
}

// withoutPath hides what another program keeps in its webhook's path.
func withoutPath(address string) string {
	scheme, rest, ok := strings.Cut(address, "://")
	if !ok {
		return "another address"
	}
	host, path, _ := strings.Cut(rest, "/")
	if path == "webhook/telegram" { // another deployment of this program
		return address
	}
	return scheme + "://" + host + "/…"
}

// recent is how old an error of Telegram may be to say something about now.
const recent = 10 * time.Minute

// secret finds out what can be known of it: Telegram keeps it to itself, and says
// that a webhook answered 401.
func secret(_ context.Context, r *run) finding {
	w := r.hook
	if w.errorAge > 0 && w.errorAge < recent && strings.Contains(w.LastErrorMessage, "401") {
		return fail(tgSecret, "%s ago: %s", w.errorAge, w.LastErrorMessage)
	}
	if r.Webhook == "" {
		return pass("none is needed: the bot polls")
	}
	return pass("no delivery was refused for it")
}

// manyPending is how many updates may wait at Telegram.
const manyPending = 100

func delivery(_ context.Context, r *run) finding {
	w := r.hook
	failing := w.errorAge > 0 && w.errorAge < recent
	switch {
	case failing && w.PendingUpdateCount > 0:
		return fail(tgErrors, "%s ago: %s; waiting: %d", w.errorAge, w.LastErrorMessage, w.PendingUpdateCount)
	case w.PendingUpdateCount > manyPending:
		return fail(tgPending, "%d wait", w.PendingUpdateCount)
	case failing:
		return warn(tgRecovered, "%s ago: %s", w.errorAge, w.LastErrorMessage)
	case w.errorAge > 0:
		return pass("waiting: %d; the last error was %s ago", w.PendingUpdateCount, w.errorAge)
	}
	return pass("waiting: %d, no error", w.PendingUpdateCount)
}

// updates compares the kinds of updates that Telegram sends with those that the
// bot reads. An empty list stands for all of them, but for a few.
func updates(_ context.Context, r *run) finding {
	have := r.hook.AllowedUpdates
	var missing []string
	for _, kind := range r.AllowedUpdates {
		if len(have) > 0 && !slices.Contains(have, kind) {
			missing = append(missing, kind)
		}
	}
	switch {
	case len(missing) > 0:
		return fail(tgKinds, "%s", strings.Join(missing, ", "))
	case len(have) == 0:
		return pass("all kinds")
	}
	return pass("%s", strings.Join(have, ", "))
}

// kieAccount proves the key by asking for the balance.
func kieAccount(ctx context.Context, r *run) finding {
	client, err := kie.New(r.KieURL, r.KieKey)
	if err != nil {
		return fail(kieKey, "it is empty")
	}
	r.credits, err = client.Credits(ctx)
	if err != nil {
		return kieTrouble(provider.AsError(err))
	}
	return pass("accepted")
}

func kieTrouble(e *provider.Error) finding {
	detail := fmt.Sprintf("%d %s", e.Code, e.Message)
	switch {
	case e.Cause == provider.BadKey:
		return fail(kieKey, "%s", detail)
	case e.Code == kieLimitCode:
		return fail(kieLimit, "%s", detail)
	case e.Cause == provider.NoCredits:
		return fail(kieCredits, "%s", detail)
	case e.Cause == provider.Maintenance:
		return fail(kieRepair, "%s", detail)
	case e.Cause == provider.Unreachable, e.Cause == provider.NoAnswer && e.Code == 0:
		return fail(kieDown, "%s", e.Message)
	}
	return fail(kieFailed, "%s", detail)
}

// kieLimitCode is KIE's code for a key that has spent what it may.
const kieLimitCode = 433

// usdPerCredit is KIE's price of one credit.
const usdPerCredit = 0.005

func credits(_ context.Context, r *run) finding {
	usd := r.credits * usdPerCredit
	detail := fmt.Sprintf("%.2f credits, %.2f USD", r.credits, usd)
	switch {
	case usd <= 0 || r.prices.cheapest != nil && usd < float64(r.prices.cost)/1e6:
		return fail(kieCredits, "%s", detail)
	case r.credits < r.LowCredits:
		return warn(kieLow, "%s", detail)
	}
	return pass("%s", detail)
}
