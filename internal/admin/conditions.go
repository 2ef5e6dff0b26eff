package admin

import "time"

// Samples reads the metrics of this instance as /metrics shows them: the sum of
// all series of a name whose label has one of the values; no label means all
// series. NaN means that there is none.
type Samples func(name, label string, values ...string) float64

// Unit says how a condition's numbers are written.
type Unit string

// The units.
const (
	Seconds Unit = "seconds"
	Percent Unit = "percent" // of a ratio: 0.3 is 30
	Count   Unit = "count"
)

// Condition is one thing that can be wrong. Its ID is the name of the same alert
// in deploy/prometheus/alerts.yml, and a heading of docs/troubleshooting.md.
type Condition struct {
	ID   string
	Unit Unit

	// A value beyond Threshold fires. It is over when the value comes back to
	// Clear, which defaults to Threshold. Limit, if set, replaces both.
	Threshold, Clear float64
	Limit            func(Samples) float64
	Below            bool // it fires below the threshold, not above

	For  time.Duration // how long the value must be beyond before it fires
	Keep time.Duration // how long it must be back before it is over

	// One of four says what the value is: Value reads it; Grown reads a counter
	// whose increase within the window counts; Share reads two, the bad ones and
	// all, whose increases are compared once there is enough of all; Own is what
	// the instance finds out for itself.
	Value func(Samples) float64
	Grown func(Samples) float64
	Share func(Samples) (bad, all float64)
	Own   func(own) float64
}

// own is what Alerts itself knows.
type own struct {
	active float64 // instances that believe to be ACTIVE
	nobody float64 // seconds for which nobody was, before this term
}

// Conditions lists all of them. The order is that of the documents.
func Conditions() []Condition {
	return []Condition{
		{ID: "KioskTakeovers", Unit: Count, Threshold: 1, Keep: time.Minute, Value: metric("kiosk_singleton_takeovers_last_hour")},
		{ID: "KioskNobodyActive", Unit: Seconds, Threshold: 30, Keep: time.Minute, Own: func(o own) float64 { return o.nobody }},
		{ID: "KioskTwoActive", Unit: Count, Threshold: 1, For: 30 * time.Second, Keep: time.Minute, Own: func(o own) float64 { return o.active }},
		{ID: "KioskHeartbeatLate", Unit: Seconds, Limit: lateHeartbeat, Keep: 5 * time.Minute, Value: metric("kiosk_singleton_heartbeat_age_seconds")},
		{ID: "KioskUpdatesWaiting", Unit: Seconds, Threshold: 60, Clear: 30, For: 15 * time.Second, Keep: time.Minute, Value: metric("kiosk_inbox_oldest_seconds")},
		{ID: "KioskUpdatesFailed", Unit: Count, Threshold: 0, Keep: time.Minute, Value: metric("kiosk_inbox_failed_last_hour_messages")},
		{ID: "KioskGenerationsStuck", Unit: Count, Threshold: 0, For: time.Minute, Keep: time.Minute, Value: metric("kiosk_generation_stuck")},
		{ID: "KioskDeliveriesWaiting", Unit: Seconds, Threshold: 120, Clear: 60, For: 30 * time.Second, Keep: time.Minute, Value: metric("kiosk_outbox_oldest_seconds")},
		{ID: "KioskDeliveriesUnknown", Unit: Count, Threshold: 5, Keep: time.Minute, Value: metric("kiosk_outbox_unknown_last_hour_messages")},
		{ID: "KioskHoldsOverdue", Unit: Count, Threshold: 0, For: 5 * time.Minute, Keep: time.Minute, Value: metric("kiosk_ledger_holds_overdue")},
		{ID: "KioskLedgerDefect", Unit: Count, Threshold: 0, Value: metric("kiosk_ledger_audit_defects")},
		{ID: "KioskProviderOutOfCredits", Unit: Count, Threshold: 0, Keep: 10 * time.Minute, Grown: refusedFor("no_credits")},
		{ID: "KioskProviderCreditsLow", Unit: Count, Below: true, Limit: lowCredits, Keep: 5 * time.Minute, Value: metric("kiosk_provider_credits")},
		{ID: "KioskProviderKeyRefused", Unit: Count, Threshold: 0, Keep: 10 * time.Minute, Grown: refusedFor("bad_key")},
		{ID: "KioskProviderErrors", Unit: Percent, Threshold: 0.3, Clear: 0.15, For: time.Minute, Keep: 5 * time.Minute, Share: providerErrors},
		{ID: "KioskWebhookErrors", Unit: Count, Threshold: 0, For: time.Minute, Keep: 2 * time.Minute, Value: metric("kiosk_telegram_webhook_failing")},
		{ID: "KioskUpdatesRefused", Unit: Percent, Threshold: 0.05, Clear: 0.01, Keep: 5 * time.Minute, Share: updatesRefused},
		{ID: "KioskBotAPIErrors", Unit: Percent, Threshold: 0.3, Clear: 0.15, For: time.Minute, Keep: 5 * time.Minute, Share: telegramErrors},
		{ID: "KioskStartupSlow", Unit: Seconds, Threshold: 10, Value: func(s Samples) float64 { return s("kiosk_startup_seconds", "phase", "ready") }},
		{ID: "KioskMigrationsPending", Unit: Count, Threshold: 0, For: 2 * time.Minute, Keep: time.Minute, Value: unverified},
	}
}

func metric(name string) func(Samples) float64 {
	return func(s Samples) float64 { return s(name, "") }
}

// lateHeartbeat is two beats and a half with the default times, and never beyond
// the 0.6 of the takeover time at which a holder gives up by itself.
func lateHeartbeat(s Samples) float64 { return 0.45 * s("kiosk_singleton_stale_heartbeat_seconds", "") }

func lowCredits(s Samples) float64 { return s("kiosk_provider_low_credits", "") }

func refusedFor(cause string) func(Samples) float64 {
	return func(s Samples) float64 { return s("kiosk_provider_errors_total", "cause", cause) }
}

// providerErrors leaves out what people cause, what has an alert of its own, and
// tasks that are not visible yet.
func providerErrors(s Samples) (bad, all float64) {
	return s("kiosk_provider_errors_total", "cause", "rate_limited", "maintenance", "disabled", "broken", "unreachable", "no_answer"),
		s("kiosk_provider_request_duration_seconds", "")
}

// updatesRefused counts what was sent with the right secret and not stored, and
// Telegram's own updates only: strangers may send what they like.
func updatesRefused(s Samples) (bad, all float64) {
	return s("kiosk_inbox_received_total", "result", "busy"), s("kiosk_inbox_received_total", "result", "busy", "stored")
}

func telegramErrors(s Samples) (bad, all float64) {
	return s("kiosk_telegram_calls_total", "outcome", "unauthorized", "not_sent", "unknown"), s("kiosk_telegram_calls_total", "")
}

func unverified(s Samples) float64 { return 1 - s("kiosk_pg_migrations_verified", "") }

// enough is how many calls a share must be of to mean anything.
const enough = 10
