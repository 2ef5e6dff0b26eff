package console_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"kiosk/internal/console"
	"kiosk/singleton"
)

// collected gathers the console's own metrics.
func (i *instance) collected(t *testing.T) *prometheus.Registry {
	t.Helper()
	r := prometheus.NewPedanticRegistry()
	r.MustRegister(i.Collector())
	return r
}

func TestCollector_IsCleanAndLeavesOutWhatCannotBeRead(t *testing.T) {
	t.Parallel()
	i := activeInstance(t)
	r := i.collected(t)
	problems, err := testutil.GatherAndLint(r)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
	whole, err := testutil.GatherAndCount(r, "kiosk_pg_up", "kiosk_inbox_pending_messages", "kiosk_singleton_active")
	if err != nil || whole != 3 {
		t.Fatalf("%d of 3, %v", whole, err)
	}
	i.exec(t, `ALTER TABLE inbox_messages RENAME TO elsewhere`)
	if n, err := testutil.GatherAndCount(r, "kiosk_inbox_pending_messages"); err != nil || n != 0 {
		t.Errorf("a number that cannot be read is shown %d times, %v", n, err)
	}
	want := "# HELP kiosk_pg_up 1 while the vitals can be read from the database.\n# TYPE kiosk_pg_up gauge\nkiosk_pg_up 0\n"
	if err := testutil.GatherAndCompare(r, strings.NewReader(want), "kiosk_pg_up"); err != nil {
		t.Error(err)
	}
}

// A takeover that an operator forced is shown and no alarm; a holder that gave up
// because its work hung was replaced, too.
func TestVitals_TakeoversOfTheLastHour(t *testing.T) {
	t.Parallel()
	i := activeInstance(t)
	i.exec(t, `INSERT INTO singleton_event (name, epoch, kind, instance, detail, at) VALUES
		('`+lockName+`', 1, 'takeover', 'x', 'heartbeat unchanged', clock_timestamp() - interval '2 hours'),
		('`+lockName+`', 1, 'takeover', 'x', 'heartbeat unchanged', clock_timestamp() - interval '10 minutes'),
		('`+lockName+`', 1, 'takeover', 'x', 'idle: no progress', clock_timestamp()), ('`+lockName+`', 1, 'lost', 'x', 'idle: no progress', clock_timestamp()),
		('`+lockName+`', 1, 'lost', 'x', 'another term has begun', clock_timestamp()), ('`+lockName+`', 1, 'takeover', 'x', 'forced: by hand', clock_timestamp())`)
	if v := i.Vitals(); v.Err != nil || v.TakeoversNow != 3 {
		t.Fatalf("%d takeovers within the hour, %v", v.TakeoversNow, v.Err)
	}
}

// A scrape costs no query: whoever asks within five seconds sees the same reading.
func TestCollector_ScrapesShareOneReading(t *testing.T) {
	t.Parallel()
	i := activeInstance(t)
	i.MaxAge = time.Hour // longer than usual changes nothing
	r := i.collected(t)
	const empty = "# HELP kiosk_inbox_pending_messages Messages that wait to be handled.\n# TYPE kiosk_inbox_pending_messages gauge\nkiosk_inbox_pending_messages 0\n"
	for range 10 { // on a busy machine the five seconds may be over before the second look
		i.exec(t, `DELETE FROM inbox_messages`)
		read := i.Vitals()
		i.exec(t, `INSERT INTO inbox_messages (source, key, lane, body) VALUES ('telegram', '1', '7', '')`)
		err := testutil.GatherAndCompare(r, strings.NewReader(empty), "kiosk_inbox_pending_messages")
		if read.Inbox.Pending == 0 && time.Since(read.At) < 5*time.Second {
			if err != nil {
				t.Error(err)
			}
			return
		}
	}
	t.Error("never asked twice within five seconds")
}

func TestRunAudit_FindsAContradictionAndForgetsItWithItsTerm(t *testing.T) {
	t.Parallel()
	i := activeInstance(t)
	i.exec(t, `INSERT INTO ledger_operations (key, request_hash, kind, reason) VALUES ('lonely', '', 'hold', '')`)
	ctx, cancel := context.WithCancel(soon(t))
	ended := make(chan struct{})
	go func() { defer close(ended); i.RunAudit(ctx, time.Hour) }()
	stop := func() { cancel(); <-ended }
	defer stop()
	for ctx.Err() == nil {
		if defects, ok := at(i.wants(t, "/health", 200, nil), "ledger.audit.defects"); ok {
			if defects != 1.0 {
				t.Errorf("%v defects", defects)
			}
			break
		}
	}
	i.wants(t, "/health", 200, map[string]any{"status": "degraded"})
	stop()
	i.wants(t, "/health", 200, map[string]any{"status": "ok", "ledger.audit": nil})
}

func TestMetrics_StrangersInventNoLabels(t *testing.T) {
	t.Parallel()
	r := prometheus.NewRegistry()
	m := console.NewMetrics(r)
	mux := http.NewServeMux()
	mux.HandleFunc("POST /callback/{token}", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) })
	h := m.Measured(mux)
	for _, c := range [][2]string{{"POST", "/callback/secret"}, {"BREW", "/callback/other"}, {"GET", "/nowhere"}} {
		h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequestWithContext(t.Context(), c[0], c[1], nil))
	}
	m.Observe(singleton.Observation{State: singleton.Active})
	var labels []string
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, metric := range f.GetMetric() {
			line := f.GetName()
			for _, l := range metric.GetLabel() {
				line += " " + l.GetValue()
			}
			labels = append(labels, line)
		}
	}
	want := `kiosk_http_request_duration_seconds 404 GET none
kiosk_http_request_duration_seconds 405 other none
kiosk_http_request_duration_seconds 418 POST /callback/{token}
kiosk_http_requests_in_flight
kiosk_singleton_acquire_duration_seconds
kiosk_singleton_heartbeat_duration_seconds
kiosk_singleton_transitions_total ACTIVE`
	if got := strings.Join(labels, "\n"); got != want {
		t.Errorf("labels:\n%s\nwant:\n%s", got, want)
	}
}

// Who asks for /health has just done something and wants to see it.
func TestHealth_IsNeverOlderThanTheQuestion(t *testing.T) {
	t.Parallel()
	i := activeInstance(t)
	i.MaxAge = 0 // as in production
	for n := range 3 {
		i.wants(t, "/health", 200, map[string]any{"inbox.pending": float64(n)})
		i.exec(t, `INSERT INTO inbox_messages (source, key, lane, body) VALUES ('telegram', gen_random_uuid()::text, '7', '')`)
	}
}
