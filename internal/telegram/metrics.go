package telegram

import (
	"net/http"
	"time"

	"github.com/PaulSonOfLars/gotgbot/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// Metrics measure the calls of all clients of a process.
type Metrics struct {
	requests *prometheus.HistogramVec
	calls    *prometheus.CounterVec
	waits    prometheus.Counter

	pending *prometheus.GaugeVec
	failing *prometheus.GaugeVec
}

// NewMetrics makes the metrics and registers them; nil registers them nowhere.
func NewMetrics(r prometheus.Registerer) *Metrics {
	f := promauto.With(r)
	m := &Metrics{
		requests: f.NewHistogramVec(prometheus.HistogramOpts{
			Name: "kiosk_telegram_request_duration_seconds", Help: "Duration of Bot API calls; getUpdates waits on purpose.",
			Buckets: []float64{.025, .05, .1, .25, .5, 1, 2.5, 5, 15, 60, 120},
		}, []string{"method", "outcome"}),
		calls: f.NewCounterVec(prometheus.CounterOpts{
			Name: "kiosk_telegram_calls_total", Help: "Bot API calls, by outcome.",
		}, []string{"outcome"}),
		waits: f.NewCounter(prometheus.CounterOpts{
			Name: "kiosk_telegram_retry_after_seconds_total", Help: "Sum of the pauses that Telegram asked for.",
		}),
		pending: f.NewGaugeVec(prometheus.GaugeOpts{
			Name: "kiosk_telegram_webhook_pending_updates", Help: "Updates that Telegram has not delivered yet; on the ACTIVE instance in webhook mode.",
		}, nil),
		failing: f.NewGaugeVec(prometheus.GaugeOpts{
			Name: "kiosk_telegram_webhook_failing", Help: "1 while Telegram has updates to deliver and its newest delivery failed; on the ACTIVE instance in webhook mode.",
		}, nil),
	}
	for _, outcome := range []string{"done", "refused", "blocked", "rate_limited", "unauthorized", "not_sent", "unknown"} {
		m.calls.WithLabelValues(outcome) // visible before the first: an alert sees increases only
	}
	return m
}

// called records a call that began at start.
func (m *Metrics) called(method string, start time.Time, err error) {
	outcome := outcomeLabel(err)
	m.requests.WithLabelValues(method, outcome).Observe(time.Since(start).Seconds())
	m.calls.WithLabelValues(outcome).Inc()
	m.waits.Add(RetryAfter(err).Seconds())
}

// recentFailure is how long Telegram's report of a failed delivery counts: it is
// never taken back, and retries come minutes apart.
const recentFailure = 5 * time.Minute

// Webhook records what Telegram says about its deliveries.
func (m *Metrics) Webhook(info *gotgbot.WebhookInfo, now time.Time) {
	failing := 0.0
	if info.PendingUpdateCount > 0 && now.Sub(time.Unix(info.LastErrorDate, 0)) < recentFailure {
		failing = 1
	}
	m.pending.WithLabelValues().Set(float64(info.PendingUpdateCount))
	m.failing.WithLabelValues().Set(failing)
}

// ForgetWebhook drops what was recorded: this instance asks no more.
func (m *Metrics) ForgetWebhook() {
	m.pending.Reset()
	m.failing.Reset()
}

// outcomeLabel splits refusals by whose trouble they are: a person's who blocked
// the bot, ours by sending too much or with a wrong token, or the call's own.
func outcomeLabel(err error) string {
	switch OutcomeOf(err) {
	case Done:
		return "done"
	case NotSent:
		return "not_sent"
	case Unknown:
		return "unknown"
	case Refused:
	}
	switch {
	case RetryAfter(err) > 0:
		return "rate_limited"
	case refusedWith(err, http.StatusUnauthorized), refusedWith(err, http.StatusNotFound):
		return "unauthorized"
	case IsBlocked(err):
		return "blocked"
	}
	return "refused"
}
