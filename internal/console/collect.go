package console

import (
	"github.com/prometheus/client_golang/prometheus"

	"kiosk/singleton"
)

// Collector describes the lock and the vitals to Prometheus. Collecting reads
// the snapshot, so it costs at most one reading in five seconds however many
// scrape. What could not be read is left out: a gap is honest, an old number is
// not.
type Collector struct {
	console *Console
	descs   map[string]*prometheus.Desc
}

var _ prometheus.Collector = (*Collector)(nil)

// Collector returns the console's collector.
func (c *Console) Collector() *Collector {
	descs := map[string]*prometheus.Desc{}
	for _, m := range collected() {
		descs[m.name] = prometheus.NewDesc("kiosk_"+m.name, m.help, m.labels, nil)
	}
	return &Collector{c, descs}
}

type described struct {
	name, help string
	labels     []string
}

func collected() []described {
	return []described{
		{"singleton_active", "1 while this instance is the ACTIVE one.", nil},
		{"singleton_state", "1 for the state of the lock in which this instance is.", []string{"state"}},
		{"singleton_epoch", "Number of the newest term that this instance knows of.", nil},
		{"singleton_heartbeat_age_seconds", "Age of the holder's newest heartbeat, as this instance knows it.", nil},
		{"singleton_stale_heartbeat_seconds", "Age of a heartbeat at which a PASSIVE instance takes over.", nil},
		{"singleton_idle_seconds", "For how long work has waited while the holder made no progress.", nil},
		{"singleton_barrier_seconds", "For how long unfinished acts of the former holder still wait.", nil},
		{"singleton_held_seconds", "How long the present holder has held the lock.", nil},
		{"singleton_mode_info", "1; the label says how the lock is held.", []string{"mode"}},
		{"singleton_trouble", "1 while the lock's database connection fails.", nil},
		{"singleton_takeovers_total", "Takeovers from a holder that was silent (heartbeat) or made no progress (idle), or that an operator forced, in the lock's whole history.", []string{"reason"}},
		{"singleton_takeovers_last_hour", "Takeovers within the last hour, without those that an operator forced.", nil},
		{"startup_seconds", "How long each phase of this instance's start took; ready: until HTTP answers; active: the wait for the lock, 0 while it never held it.", []string{"phase"}},
		{"catalog_models", "Models in the catalog.", nil},
		{"pg_up", "1 while the vitals can be read from the database.", nil},
		{"pg_migrations", "Migrations of the schema, as this binary knows them.", []string{"state"}},
		{"pg_migrations_verified", "1 while the schema is exactly what this binary wants.", nil},
		{"inbox_pending_messages", "Messages that wait to be handled.", nil},
		{"inbox_oldest_seconds", "Age of the oldest message that waits to be handled.", nil},
		{"inbox_failed_messages", "Messages that were given up.", nil},
		{"inbox_failed_last_hour_messages", "Messages that were given up within the last hour.", nil},
		{"inbox_undecodable_messages", "Messages that nobody can read.", nil},
		{"outbox_pending_messages", "Messages that wait to be sent.", nil},
		{"outbox_oldest_seconds", "Age of the oldest message that waits to be sent.", nil},
		{"outbox_unknown_messages", "Messages of which nobody knows whether they arrived.", nil},
		{"outbox_unknown_last_hour_messages", "Messages of the last hour of which nobody knows whether they arrived.", nil},
		{"generation_running", "Orders under way.", nil},
		{"generation_oldest_seconds", "Age of the oldest order under way.", nil},
		{"generation_stuck", "Orders that have been due for minutes, and nobody works on them.", nil},
		{"generation_unknown", "Orders whose submission got no answer.", nil},
		{"lane_due_late_seconds", "How long the longest overdue piece of work has been due.", []string{"lane"}},
		{"ledger_holds_open", "Holds that are neither captured nor released.", nil},
		{"ledger_holds_overdue", "Open holds past the time by which they had to be settled.", nil},
		{"ledger_oldest_hold_seconds", "Age of the oldest open hold.", nil},
		{"ledger_audit_defects", "Contradictions that the newest audit of the books found; on the ACTIVE instance.", nil},
		{"ledger_audit_timestamp_seconds", "When the books were last audited; on the ACTIVE instance.", nil},
	}
}

// Describe lists the metrics.
func (c *Collector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range c.descs {
		ch <- d
	}
}

// sink takes the values of one collection.
type sink struct {
	descs map[string]*prometheus.Desc
	ch    chan<- prometheus.Metric
}

func (s sink) gauge(name string, v float64, labels ...string) {
	s.ch <- prometheus.MustNewConstMetric(s.descs[name], prometheus.GaugeValue, v, labels...)
}

func (s sink) flag(name string, on bool, labels ...string) {
	v := 0.0
	if on {
		v = 1
	}
	s.gauge(name, v, labels...)
}

// Collect reads the lock's state and the snapshot.
func (c *Collector) Collect(ch chan<- prometheus.Metric) {
	s := sink{c.descs, ch}
	c.console.collectLock(s)
	c.console.collectStart(s)
	v := c.console.Vitals()
	s.flag("pg_up", v.Err == nil)
	if v.Err == nil {
		v.collect(s)
	}
	if a := c.console.audit.Load(); a != nil {
		s.gauge("ledger_audit_defects", float64(a.Defects))
		s.gauge("ledger_audit_timestamp_seconds", float64(a.At.Unix()))
	}
}

func (c *Console) collectLock(s sink) {
	var l Lock
	c.lock(&l)
	s.flag("singleton_active", l.State == string(singleton.Active))
	s.gauge("singleton_state", 1, l.State)
	s.gauge("singleton_epoch", float64(l.Epoch))
	s.gauge("singleton_heartbeat_age_seconds", l.HeartbeatAgeSeconds)
	s.gauge("singleton_stale_heartbeat_seconds", c.StaleHeartbeat.Seconds())
	s.gauge("singleton_idle_seconds", l.IdleSeconds)
	s.gauge("singleton_barrier_seconds", c.Elector.Status().Barrier.Seconds())
	s.gauge("singleton_mode_info", 1, l.Mode)
	s.gauge("singleton_held_seconds", l.HeldSeconds)
	s.flag("singleton_trouble", l.Trouble != "")
}

func (c *Console) collectStart(s sink) {
	started := c.startup.Load()
	s.gauge("startup_seconds", started.Database, "database")
	s.gauge("startup_seconds", started.Migrations, "migrations")
	s.gauge("startup_seconds", started.HTTP, "http")
	s.gauge("startup_seconds", started.Active, "active")
	s.gauge("startup_seconds", started.Database+started.Migrations+started.HTTP, "ready")
	s.gauge("catalog_models", float64(len(c.Catalog.List(""))))
}

func (v Vitals) collect(s sink) {
	takeovers := s.descs["singleton_takeovers_total"]
	s.ch <- prometheus.MustNewConstMetric(takeovers, prometheus.CounterValue, float64(v.Takeovers.Heartbeat), "heartbeat")
	s.ch <- prometheus.MustNewConstMetric(takeovers, prometheus.CounterValue, float64(v.Takeovers.Idle), "idle")
	s.ch <- prometheus.MustNewConstMetric(takeovers, prometheus.CounterValue, float64(v.Takeovers.Forced), "forced")
	s.gauge("pg_migrations", float64(v.Migrations.Applied), "applied")
	s.gauge("pg_migrations", float64(v.Migrations.Pending), "pending")
	s.flag("pg_migrations_verified", v.Migrations.Verified)
	for name, value := range map[string]float64{
		"singleton_takeovers_last_hour":     float64(v.TakeoversNow),
		"inbox_pending_messages":            float64(v.Inbox.Pending),
		"inbox_oldest_seconds":              v.Inbox.OldestSeconds,
		"inbox_failed_messages":             float64(v.Inbox.Failed),
		"inbox_failed_last_hour_messages":   float64(v.Inbox.FailedRecent),
		"inbox_undecodable_messages":        float64(v.Inbox.Undecodable),
		"outbox_pending_messages":           float64(v.Outbox.Pending),
		"outbox_oldest_seconds":             v.Outbox.OldestSeconds,
		"outbox_unknown_messages":           float64(v.Outbox.Unknown),
		"outbox_unknown_last_hour_messages": float64(v.Outbox.UnknownRecent),
		"generation_running":                float64(v.Generations.Running),
		"generation_oldest_seconds":         v.Generations.OldestSeconds,
		"generation_stuck":                  float64(v.Generations.Stuck),
		"generation_unknown":                float64(v.Generations.Unknown),
		"ledger_holds_open":                 float64(v.Holds.HoldsOpen),
		"ledger_holds_overdue":              float64(v.Holds.HoldsOverdue),
		"ledger_oldest_hold_seconds":        v.Holds.OldestHoldSeconds,
	} {
		s.gauge(name, value)
	}
	s.gauge("lane_due_late_seconds", v.Inbox.LateSeconds, "inbox")
	s.gauge("lane_due_late_seconds", v.Outbox.LateSeconds, "outbox")
	s.gauge("lane_due_late_seconds", v.Generations.LateSeconds, "generation")
}
