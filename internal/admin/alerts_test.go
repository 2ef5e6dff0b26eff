package admin_test

import (
	"context"
	"log/slog"
	"maps"
	"math"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"kiosk/internal/admin"
	"kiosk/internal/pg/pgtest"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Run(m)) }

const patience = 20 * time.Second

// night is a database, metrics that a test sets, and what was said.
type night struct {
	t    *testing.T
	pool *pgxpool.Pool

	mu      sync.Mutex
	values  map[string]float64
	looks   int
	said    []admin.Notice
	changed chan struct{}
}

func fall(t *testing.T) *night {
	t.Helper()
	return &night{t: t, pool: pgtest.Pool(t, pgtest.URL(t)), values: map[string]float64{}, changed: make(chan struct{})}
}

func (n *night) notify() { // n.mu is held
	close(n.changed)
	n.changed = make(chan struct{})
}

func (n *night) set(name string, value float64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.values[name] = value
}

func (n *night) samples() (admin.Samples, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.looks++
	n.notify()
	values := maps.Clone(n.values)
	return func(name, label string, labels ...string) float64 {
		for _, l := range append(labels, "") {
			if v, ok := values[name+l]; ok {
				return v
			}
		}
		return math.NaN()
	}, nil
}

func (n *night) tell(_ context.Context, _ pgx.Tx, notice admin.Notice) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.said = append(n.said, notice)
	n.notify()
	return nil
}

// watch runs one term until stop.
func (n *night) watch(epoch int64, instance string, pace admin.Pace) (stop func()) {
	n.t.Helper()
	a, err := admin.New(admin.Deps{
		DB: n.pool, Samples: n.samples, Tell: n.tell, Instance: instance, Epoch: epoch, Log: slog.New(slog.DiscardHandler), Pace: pace,
		InTx: func(ctx context.Context, fn func(pgx.Tx) error) error { return pgx.BeginFunc(ctx, n.pool, fn) },
	})
	if err != nil {
		n.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { defer close(ended); a.Run(ctx) }()
	stop = sync.OnceFunc(func() { cancel(); <-ended })
	n.t.Cleanup(stop)
	return stop
}

// until waits until what is said and looked at fits.
func (n *night) until(what string, fits func() bool) {
	n.t.Helper()
	timeout := time.After(patience)
	for {
		n.mu.Lock()
		ok, changed := fits(), n.changed
		n.mu.Unlock()
		if ok {
			return
		}
		select {
		case <-changed:
		case <-timeout:
			n.t.Fatalf("%s: said %+v", what, n.said)
		}
	}
}

// moreLooks waits until every condition was evaluated several times.
func (n *night) moreLooks() {
	n.t.Helper()
	n.mu.Lock()
	goal := n.looks + 4
	n.mu.Unlock()
	n.until("no more looks", func() bool { return n.looks >= goal })
}

func (n *night) saidTimes(times int) {
	n.t.Helper()
	n.until("not said often enough", func() bool { return len(n.said) >= times })
	n.moreLooks()
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.said) != times {
		n.t.Fatalf("said %d times, want %d: %+v", len(n.said), times, n.said)
	}
}

const oldest = "kiosk_inbox_oldest_seconds"

// hasty is a pace in which a minute is 60 ms and an hour 3.6 s.
var hasty = admin.Pace{Every: 5 * time.Millisecond, Factor: 0.001}

func TestAlerts_AreSaidOnceAndOnceMoreWhenOver(t *testing.T) {
	t.Parallel()
	n := fall(t)
	n.watch(1, "one", hasty)
	n.set(oldest, 75)
	n.saidTimes(1)
	n.set(oldest, 45) // below the threshold, not yet at the end's
	n.saidTimes(1)
	n.set(oldest, 3)
	n.saidTimes(2)
	if f, o := n.said[0], n.said[1]; f.Over || f.Value != 75 || f.Threshold != 60 || f.Alert != "KioskUpdatesWaiting" || !o.Over || o.Value != 3 || o.Seconds <= 0 {
		t.Fatalf("said %+v", n.said)
	}
}

// One that was beyond for less than its time is nothing to be woken for.
func TestAlerts_AShortPeakIsNotSaid(t *testing.T) {
	t.Parallel()
	n := fall(t)
	n.watch(1, "one", admin.Pace{Every: 5 * time.Millisecond, Factor: 1})
	n.set(oldest, 75)
	n.moreLooks()
	n.set(oldest, 3)
	n.saidTimes(0)
}

func TestAlerts_OneThatComesAndGoesIsSaidOnceAnHour(t *testing.T) {
	t.Parallel()
	n := fall(t)
	pace := admin.Pace{Every: 5 * time.Millisecond, Factor: 0.01} // an hour is 36 s
	stop := n.watch(1, "one", pace)
	n.set(oldest, 75)
	n.saidTimes(1)
	n.set(oldest, 3)
	n.saidTimes(2)
	n.set(oldest, 80)
	n.wait(true, false)
	n.set(oldest, 3)
	n.wait(false, false)
	n.saidTimes(2)
	stop()
	if _, err := n.pool.Exec(t.Context(), `UPDATE admin_alerts SET told_at = told_at - interval '1 hour'`); err != nil {
		t.Fatal(err)
	}
	n.set(oldest, 90)
	n.watch(2, "one", pace)
	n.saidTimes(3)
}

// wait waits until the row of the alert says so.
func (n *night) wait(firing, told bool) {
	n.t.Helper()
	n.until("the alert's row", func() bool {
		var f, s bool
		err := n.pool.QueryRow(context.Background(), `SELECT firing, told FROM admin_alerts WHERE id = 'KioskUpdatesWaiting'`).Scan(&f, &s)
		return err == nil && f == firing && s == told
	})
}

func TestAlerts_ANewTermGoesOnWhereTheLastStopped(t *testing.T) {
	t.Parallel()
	n := fall(t)
	stop := n.watch(1, "one", admin.Pace{Every: 5 * time.Millisecond, Factor: 0.01})
	n.set(oldest, 75)
	n.saidTimes(1)
	stop()
	n.watch(2, "two", admin.Pace{Every: 5 * time.Millisecond, Factor: 0.01})
	n.saidTimes(1)
	n.set(oldest, 3)
	n.saidTimes(2)
	if !n.said[1].Over || n.said[1].Seconds <= 0 {
		t.Fatalf("said %+v", n.said)
	}
}

func TestAlerts_AnUnreadableValueChangesNothing(t *testing.T) {
	t.Parallel()
	n := fall(t)
	n.watch(1, "one", hasty)
	n.set(oldest, 75)
	n.saidTimes(1)
	n.set(oldest, math.NaN())
	n.saidTimes(1)
}

// A share of too few calls means nothing, and old calls do not count.
func TestAlerts_SharesNeedEnoughAndForget(t *testing.T) {
	t.Parallel()
	n := fall(t)
	n.watch(1, "one", admin.Pace{Every: 5 * time.Millisecond, Factor: 0.01})
	n.set("kiosk_provider_errors_totalrate_limited", 0)
	n.set("kiosk_provider_request_duration_seconds", 0)
	n.moreLooks()
	n.set("kiosk_provider_errors_totalrate_limited", 9)
	n.set("kiosk_provider_request_duration_seconds", 9)
	n.moreLooks()
	n.saidTimes(0)
	n.set("kiosk_provider_errors_totalrate_limited", 12)
	n.set("kiosk_provider_request_duration_seconds", 12)
	n.saidTimes(1)
	n.saidTimes(1)
	n.until("not over when the window has passed", func() bool { return len(n.said) == 2 && n.said[1].Over })
}

func TestNew_RefusesMissingParts(t *testing.T) {
	t.Parallel()
	if _, err := admin.New(admin.Deps{}); err == nil {
		t.Error("a watch without parts was made")
	}
}
