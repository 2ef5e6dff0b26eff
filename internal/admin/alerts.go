// Package admin is what the program says to its operators. Today that is alerts:
// the conditions of deploy/prometheus/alerts.yml, watched by the ACTIVE instance
// and said in the chat, so that an operator without Prometheus hears of trouble
// before the users tell.
//
// An alert is damped: its value must be beyond the threshold for a while before
// it fires, and back for a while before it is over; one that fires again and
// again is said once an hour. What was said is in the database, written in the
// fenced transaction that adds the messages to the outbox, so a new ACTIVE
// instance goes on where its predecessor stopped and nothing is said twice.
//
// The package sends nothing, renders no text and measures nothing: the wiring
// gives it the metrics and the outbox, bot has the words.
package admin

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"time"

	"github.com/jackc/pgx/v5"

	"kiosk/internal/pg"
)

//go:embed sql/alerts.sql
var sqlAlerts string

//go:embed sql/alert_save.sql
var sqlAlertSave string

//go:embed sql/presence.sql
var sqlPresence string

// KindAlert is the kind of outbox message that an alert becomes.
const KindAlert = "admin.alert"

// Notice is the argument of KindAlert.
type Notice struct {
	Alert     string  `json:"alert"`
	Over      bool    `json:"over,omitempty"`
	Value     float64 `json:"value"`
	Threshold float64 `json:"threshold"`
	Below     bool    `json:"below,omitempty"` // the value is too small
	Unit      Unit    `json:"unit"`
	Seconds   float64 `json:"seconds"` // since it began to fire
	At        int64   `json:"at"`      // Unix time
}

// Pace is the rhythm of Alerts. The zero value of a field means its default.
type Pace struct {
	Every  time.Duration // between two looks, default 5 s
	Factor float64       // of all other times; tests are in a hurry, default 1
}

func (p Pace) complete() Pace {
	if p.Every == 0 {
		p.Every = 5 * time.Second
	}
	if p.Factor == 0 {
		p.Factor = 1
	}
	return p
}

func (p Pace) scale(d time.Duration) time.Duration { return time.Duration(float64(d) * p.Factor) }

const (
	window   = 5 * time.Minute  // in which counters are compared
	quiet    = time.Hour        // between two firings that are said
	reminder = 4 * time.Hour    // while an alert lasts
	absence  = time.Minute      // how long a term speaks of the time before it
	fresh    = 15 * time.Second // a presence that young counts
)

// Deps are the parts of Alerts; all but Pace are required.
type Deps struct {
	DB       pg.DB
	InTx     func(ctx context.Context, fn func(pgx.Tx) error) error // fenced
	Samples  func() (Samples, error)
	Tell     func(ctx context.Context, tx pgx.Tx, n Notice) error // adds the messages to the outbox
	Instance string
	Epoch    int64
	Log      *slog.Logger
	Pace     Pace
}

// Alerts watches during one term. Only one goroutine may use it.
type Alerts struct {
	Deps
	began  time.Time
	own    own
	states map[string]state
	truths map[string]truth
	counts map[string][]counted
}

// state is what was said of an alert, as the database has it.
type state struct {
	firing, told  bool
	since, toldAt time.Time
}

// truth is what a condition is now, and since when.
type truth struct {
	holds bool
	since time.Time
}

// counted is one reading of two counters.
type counted struct {
	at       time.Time
	bad, all float64
}

// New checks the parts.
func New(d Deps) (*Alerts, error) {
	if d.DB == nil || d.InTx == nil || d.Samples == nil || d.Tell == nil || d.Instance == "" || d.Log == nil {
		return nil, errors.New("admin: a part is missing")
	}
	d.Pace = d.Pace.complete()
	return &Alerts{Deps: d, truths: map[string]truth{}, counts: map[string][]counted{}}, nil
}

// Run watches until ctx ends. What cannot be read now is read at the next look;
// trouble is logged when it changes.
func (a *Alerts) Run(ctx context.Context) {
	a.began = time.Now()
	tick := time.NewTicker(a.Pace.Every)
	defer tick.Stop()
	was := ""
	for {
		text := ""
		if err := a.look(ctx); err != nil && ctx.Err() == nil {
			text = err.Error()
		}
		if text != "" && text != was {
			a.Log.Warn("alerts not watched", "error", text)
		}
		was = text
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// look evaluates every condition once. One that cannot be read keeps its state.
func (a *Alerts) look(ctx context.Context) error {
	if err := a.load(ctx); err != nil {
		return err
	}
	if err := a.present(ctx); err != nil {
		return err
	}
	samples, err := a.Samples()
	if err != nil {
		return fmt.Errorf("read the metrics: %w", err)
	}
	now := time.Now()
	var errs []error
	for _, c := range Conditions() {
		value, threshold, back := a.measure(c, samples, now)
		if math.IsNaN(value) || math.IsNaN(threshold) {
			continue
		}
		was := a.states[c.ID]
		limit := threshold
		if was.firing {
			limit = back
		}
		next := a.decide(c, was, beyond(c, value, limit), now)
		if next == was {
			continue
		}
		errs = append(errs, a.change(ctx, c, was, next, value, threshold, now))
	}
	return errors.Join(errs...)
}

func beyond(c Condition, value, limit float64) bool {
	if c.Below {
		return value < limit
	}
	return value > limit
}

// decide damps a condition and returns the state that follows.
func (a *Alerts) decide(c Condition, was state, holds bool, now time.Time) state {
	t, known := a.truths[c.ID]
	if !known || t.holds != holds {
		t = truth{holds, now}
		a.truths[c.ID] = t
	}
	lasted := now.Sub(t.since)
	next := was
	switch {
	case holds && !was.firing && lasted >= a.Pace.scale(c.For):
		next.firing, next.since, next.told = true, now, false
	case !holds && was.firing && lasted >= a.Pace.scale(c.Keep):
		next.firing, next.since = false, now
		return next
	}
	pause := quiet
	if next.told {
		pause = reminder
	}
	if next.firing && now.Sub(next.toldAt) >= a.Pace.scale(pause) {
		next.told, next.toldAt = true, now
	}
	return next
}

// change stores a state and says what there is to say, in one fenced transaction.
func (a *Alerts) change(ctx context.Context, c Condition, was, next state, value, threshold float64, now time.Time) error {
	n := Notice{Alert: c.ID, Value: value, Threshold: threshold, Below: c.Below, Unit: c.Unit, At: now.Unix()}
	said := next.firing && next.toldAt != was.toldAt
	n.Over = was.firing && !next.firing
	if was.firing {
		n.Seconds = now.Sub(was.since).Seconds()
	}
	err := a.InTx(ctx, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, sqlAlertSave, c.ID, next.firing, value, next.told, said); err != nil {
			return err
		}
		if said || n.Over && was.told {
			return a.Tell(ctx, tx, n)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("change the alert %s: %w", c.ID, err)
	}
	a.states[c.ID] = next
	a.log(c, was, next, value, threshold)
	return nil
}

func (a *Alerts) log(c Condition, was, next state, value, threshold float64) {
	switch {
	case next.firing && !was.firing:
		a.Log.Error("alert", "alert", c.ID, "value", value, "threshold", threshold, "see", "docs/troubleshooting.md")
	case was.firing && !next.firing:
		a.Log.Info("alert is over", "alert", c.ID, "value", value, "threshold", threshold)
	}
}

// load reads once per term what earlier terms have said.
func (a *Alerts) load(ctx context.Context) error {
	if a.states != nil {
		return nil
	}
	rows, err := a.DB.Query(ctx, sqlAlerts)
	if err != nil {
		return fmt.Errorf("read the alerts: %w", err)
	}
	states, now := map[string]state{}, time.Now()
	var id string
	var s state
	var since, told float64
	_, err = pgx.ForEachRow(rows, []any{&id, &s.firing, &s.told, &since, &told}, func() error {
		s.since, s.toldAt = now.Add(-seconds(since)), now.Add(-seconds(told))
		states[id] = s
		return nil
	})
	if err != nil {
		return fmt.Errorf("read the alerts: %w", err)
	}
	a.states = states
	return nil
}

// present says that this instance is ACTIVE and finds out who else says so, and
// for how long nobody did before this term.
func (a *Alerts) present(ctx context.Context) error {
	var others int
	var gap float64
	err := a.DB.QueryRow(ctx, sqlPresence, a.Instance, a.Epoch, a.Pace.scale(fresh).Milliseconds()).Scan(&others, &gap)
	if err != nil {
		return fmt.Errorf("note who is ACTIVE: %w", err)
	}
	first := a.own.active == 0
	a.own.active = float64(1 + others)
	switch {
	case first:
		a.own.nobody = gap
	case time.Since(a.began) > a.Pace.scale(absence):
		a.own.nobody = 0
	}
	return nil
}

// measure returns a condition's value, the threshold beyond which it fires, and
// the one at which it is over.
func (a *Alerts) measure(c Condition, s Samples, now time.Time) (value, threshold, back float64) {
	threshold, back = c.Threshold, c.Clear
	if back == 0 {
		back = threshold
	}
	if c.Limit != nil {
		threshold = c.Limit(s)
		back = threshold
	}
	switch {
	case c.Own != nil:
		return c.Own(a.own), threshold, back
	case c.Grown != nil:
		grown, _ := a.increase(c.ID, counted{now, c.Grown(s), 0})
		return grown, threshold, back
	case c.Share != nil:
		bad, all := c.Share(s)
		return share(a.increase(c.ID, counted{now, bad, all})), threshold, back
	}
	return c.Value(s), threshold, back
}

// increase returns by how much a condition's counters grew within the window. A
// counter that is not there yet has counted nothing.
func (a *Alerts) increase(id string, c counted) (bad, all float64) {
	c.bad, c.all = orZero(c.bad), orZero(c.all)
	a.counts[id] = append(a.counts[id], c)
	list := a.counts[id]
	for len(list) > 1 && c.at.Sub(list[1].at) > a.Pace.scale(window) {
		list = list[1:]
	}
	a.counts[id] = list
	return c.bad - list[0].bad, c.all - list[0].all
}

func orZero(v float64) float64 {
	if math.IsNaN(v) {
		return 0
	}
	return v
}

func share(bad, all float64) float64 {
	if all < enough {
		return 0
	}
	return bad / all
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }
