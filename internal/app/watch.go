package app

import (
	"context"
	"time"

	"kiosk/internal/admin"
)

// Watch is how often the ACTIVE instance looks at itself and at the outside.
// The zero value of a field means its default.
type Watch struct {
	Alerts   admin.Pace    // when to say what is wrong
	Outside  time.Duration // Telegram's view of the webhook and the provider's credits, default a minute
	Audit    time.Duration // of the books, default ten minutes
	Snapshot time.Duration // how old what alerts and metrics see may be, default five seconds
}

func (w Watch) complete() Watch {
	if w.Outside == 0 {
		w.Outside = time.Minute
	}
	if w.Audit == 0 {
		w.Audit = 10 * time.Minute
	}
	return w
}

// outside asks Telegram how the webhook does and the provider what is left. Only
// the ACTIVE instance asks; what it knew ends with its term.
func (a *App) outside(ctx context.Context) {
	defer a.metrics.telegram.ForgetWebhook()
	defer a.metrics.provider.ForgetCredits()
	trouble := map[string]string{}
	for ctx.Err() == nil {
		if _, err := a.kie.Credits(ctx); ctx.Err() == nil {
			a.noteOutside(trouble, "credits not read", err)
		}
		if a.cfg.Mode == "webhook" {
			info, err := a.api.GetWebhookInfoWithContext(ctx, nil)
			if err == nil {
				a.metrics.telegram.Webhook(info, time.Now())
			}
			if ctx.Err() == nil {
				a.noteOutside(trouble, "webhook not looked at", err)
			}
		}
		select {
		case <-ctx.Done():
		case <-time.After(a.watch.Outside):
		}
	}
}

// noteOutside logs a trouble when it changes, not each time it repeats.
func (a *App) noteOutside(seen map[string]string, what string, err error) {
	text := ""
	if err != nil {
		text = err.Error()
	}
	if text != "" && text != seen[what] {
		a.log.Warn(what, "error", text)
	}
	seen[what] = text
}
