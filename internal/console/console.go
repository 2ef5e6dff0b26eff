// Package console is what operators and platforms ask over HTTP: is the process
// alive, may it get traffic, and how are things.
//
// The answers are cheap, call nobody outside the database, and hold no secrets.
// Readiness does not mean ACTIVE: a PASSIVE instance takes webhooks, and a
// rolling deploy would wait for ever for a readiness that only the old instance
// can give away.
package console

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"kiosk/internal/catalog"
	"kiosk/internal/generation"
	"kiosk/internal/inbox"
	"kiosk/internal/ledger"
	"kiosk/internal/outbox"
	"kiosk/internal/pg"
	"kiosk/singleton"
)

//go:embed sql/ping.sql
var sqlPing string

// Deps are the parts that the answers are read from; the first five are required.
type Deps struct {
	Version  string
	LockName string
	Pool     *pgxpool.Pool
	Elector  *singleton.Elector
	Migrator *pg.Migrator
	Catalog  *catalog.Catalog

	StaleHeartbeat time.Duration       // of the lock, for dashboards
	Gatherer       prometheus.Gatherer // what /metrics shows; nil: there is no /metrics
	MaxAge         time.Duration       // of a snapshot, where it must be younger than usual
	Log            *slog.Logger
}

// Console answers. It is safe for concurrent use.
type Console struct {
	Deps
	started  time.Time
	stopping atomic.Bool
	startup  atomic.Pointer[Startup]
	snapshot snapshot
	audit    atomic.Pointer[Audit]
}

// New checks the parts.
func New(d Deps) (*Console, error) {
	if d.Pool == nil || d.Elector == nil || d.Migrator == nil || d.Catalog == nil || d.LockName == "" {
		return nil, errors.New("console: a part is missing")
	}
	if d.Log == nil {
		d.Log = slog.New(slog.DiscardHandler)
	}
	c := &Console{Deps: d, started: time.Now()}
	c.startup.Store(&Startup{})
	return c, nil
}

// Stopping makes readiness say no from now on.
func (c *Console) Stopping() { c.stopping.Store(true) }

// Started publishes how long each phase of the start took.
func (c *Console) Started(s Startup) { c.startup.Store(&s) }

// Routes adds the pages to mux.
func (c *Console) Routes(mux *http.ServeMux) {
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, http.StatusOK, map[string]string{"status": "ok"})
	})
	mux.HandleFunc("GET /readyz", c.readyz)
	mux.HandleFunc("GET /health", c.health)
	if c.Gatherer != nil {
		mux.Handle("GET /metrics", promhttp.HandlerFor(c.Gatherer, promhttp.HandlerOpts{MaxRequestsInFlight: 4, Timeout: 10 * time.Second}))
	}
}

func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // the asker may have left
}

// patience bounds what an answer may wait for the database.
const patience = 2 * time.Second

func (c *Console) readyz(w http.ResponseWriter, r *http.Request) {
	s := c.Elector.Status()
	reason := ""
	switch {
	case c.stopping.Load():
		reason = "stopping"
	case s.Trouble != "":
		reason = "the lock is in trouble"
	case s.State != singleton.Active && s.State != singleton.Passive:
		reason = "not in the lock's queue yet"
	}
	if _, err := c.ping(r.Context()); reason == "" && err != nil {
		reason = "the database does not answer"
	}
	if reason != "" {
		answer(w, http.StatusServiceUnavailable, map[string]string{"status": "not ready", "reason": reason, "lock": string(s.State)})
		return
	}
	answer(w, http.StatusOK, map[string]string{"status": "ready", "lock": string(s.State)})
}

func (c *Console) ping(ctx context.Context) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	start := time.Now()
	var one int
	err := c.Pool.QueryRow(ctx, sqlPing).Scan(&one)
	return time.Since(start), err
}

// Reason says why an instance is not well.
type Reason string

// The reasons.
const (
	DatabaseDown Reason = "the database does not answer"
	NotReadable  Reason = "a part of this page cannot be read from the database"
	LockTrouble  Reason = "the lock is in trouble"
	OtherSchema  Reason = "the schema is not what this version wants"
	OrdersStuck  Reason = "orders are due and nobody works on them"
	BooksWrong   Reason = "the books contradict themselves"
)

// Health is the answer of /health. Its names are a contract with dashboards.
type Health struct {
	Status        string           `json:"status"`            // ok, degraded, down
	Reasons       []Reason         `json:"reasons,omitempty"` // why it is not ok
	Version       string           `json:"version"`
	Instance      string           `json:"instance"`
	UptimeSeconds float64          `json:"uptime_seconds"`
	Lock          Lock             `json:"lock"`
	Migrations    Migrations       `json:"migrations"`
	Database      Database         `json:"database"`
	Inbox         inbox.Stats      `json:"inbox"`
	Outbox        outbox.Stats     `json:"outbox"`
	Generations   generation.Stats `json:"generations"`
	Ledger        Ledger           `json:"ledger"`
	Models        Models           `json:"models"`
	Startup       Startup          `json:"startup_seconds"`
}

// Lock is the state of the ACTIVE/PASSIVE lock as this instance knows it.
type Lock struct {
	State               string     `json:"state"`
	Mode                string     `json:"mode"`
	Epoch               int64      `json:"epoch"`
	Holder              string     `json:"holder"`
	HeldSeconds         float64    `json:"held_seconds"`
	HeartbeatAgeSeconds float64    `json:"heartbeat_age_seconds"`
	IdleSeconds         float64    `json:"idle_seconds"`
	Trouble             string     `json:"trouble,omitempty"`
	Takeovers           Takeovers  `json:"takeovers"`
	LastTakeover        *time.Time `json:"last_takeover"`
}

// Takeovers counts by reason.
type Takeovers struct {
	Total     int64 `json:"total"`
	Heartbeat int64 `json:"heartbeat"`
	Idle      int64 `json:"idle"`
	Forced    int64 `json:"forced"`
}

// Migrations compares the database with this binary.
type Migrations struct {
	Applied  int  `json:"applied"`
	Pending  int  `json:"pending"`
	Verified bool `json:"verified"`
}

// Ledger is the open holds, and the newest audit, which the ACTIVE instance makes.
type Ledger struct {
	ledger.Stats
	Audit *Audit `json:"audit"`
}

// Database is one round trip.
type Database struct {
	OK        bool    `json:"ok"`
	LatencyMS float64 `json:"latency_ms"`
}

// Models counts the catalog.
type Models struct {
	Enabled int `json:"enabled"`
	Invalid int `json:"invalid"`
}

// Startup is how long each phase of the start took, in seconds. Active is zero
// while the instance has never been ACTIVE.
type Startup struct {
	Database   float64 `json:"database"`
	Migrations float64 `json:"migrations"`
	HTTP       float64 `json:"http"`
	Active     float64 `json:"active"`
	Total      float64 `json:"total"`
}

func (c *Console) health(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), patience)
	defer cancel()
	h := Health{
		Status: "ok", Version: c.Version, UptimeSeconds: time.Since(c.started).Seconds(),
		Models: Models{Enabled: len(c.Catalog.List(""))}, Startup: *c.startup.Load(),
	}
	h.Instance = c.Elector.Status().Instance
	c.lock(&h.Lock)
	latency, err := c.ping(ctx)
	if err != nil {
		h.Status, h.Reasons = "down", []Reason{DatabaseDown}
		answer(w, http.StatusServiceUnavailable, h)
		return
	}
	h.Database = Database{OK: true, LatencyMS: float64(latency.Microseconds()) / 1000}
	if h.Reasons = c.fill(&h); len(h.Reasons) > 0 {
		h.Status = "degraded"
	}
	answer(w, http.StatusOK, h)
}

func (c *Console) lock(l *Lock) {
	s := c.Elector.Status()
	*l = Lock{
		State: string(s.State), Mode: string(s.Mode), Epoch: s.Epoch, Holder: s.Holder,
		HeartbeatAgeSeconds: s.HeartbeatAge.Seconds(), IdleSeconds: s.Idle.Seconds(),
	}
	if s.Trouble != "" {
		l.Trouble = "the lock's database connection fails; see the log"
	}
	if !s.Since.IsZero() {
		l.HeldSeconds = time.Since(s.Since).Seconds()
	}
}

// fill copies the vitals and returns what is not well.
func (c *Console) fill(h *Health) []Reason {
	v := c.vitals(maxHealthAge)
	t := v.Takeovers
	h.Lock.Takeovers = Takeovers{Total: t.Heartbeat + t.Idle + t.Forced, Heartbeat: t.Heartbeat, Idle: t.Idle, Forced: t.Forced}
	h.Lock.LastTakeover = t.Last
	h.Migrations, h.Inbox, h.Outbox, h.Generations = v.Migrations, v.Inbox, v.Outbox, v.Generations
	h.Ledger = Ledger{Stats: v.Holds, Audit: c.audit.Load()}
	return h.reasons(v.Err)
}

func (h *Health) reasons(unread error) []Reason {
	var list []Reason
	for _, c := range []struct {
		holds bool
		why   Reason
	}{
		{unread != nil, NotReadable},
		{h.Lock.Trouble != "", LockTrouble},
		{unread == nil && !h.Migrations.Verified, OtherSchema},
		{h.Generations.Stuck > 0, OrdersStuck},
		{h.Ledger.Audit != nil && h.Ledger.Audit.Defects > 0, BooksWrong},
	} {
		if c.holds {
			list = append(list, c.why)
		}
	}
	return list
}
