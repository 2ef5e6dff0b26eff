package app_test

import (
	"context"
	"encoding/hex"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	otlp "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"kiosk/internal/app/apptest"
	"kiosk/internal/pg/pgtest"
	"kiosk/internal/simulator/telegramsim"
)

// collecting is a collector of spans over OTLP/HTTP.
type collecting struct {
	url string

	mu    sync.Mutex
	spans []*otlp.Span
	raw   []byte
	grown chan struct{} // closed and replaced with every export
}

func collect(t *testing.T) *collecting {
	t.Helper()
	c := &collecting{grown: make(chan struct{})}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		var sent collector.ExportTraceServiceRequest
		if err != nil || r.URL.Path != "/v1/traces" || proto.Unmarshal(body, &sent) != nil {
			t.Errorf("no export of spans: %s, %v", r.URL.Path, err)
			return
		}
		c.take(&sent, body)
		w.Header().Set("Content-Type", "application/x-protobuf")
	}))
	t.Cleanup(server.Close)
	c.url = server.URL
	return c
}

func (c *collecting) take(sent *collector.ExportTraceServiceRequest, body []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, resource := range sent.GetResourceSpans() {
		for _, scope := range resource.GetScopeSpans() {
			c.spans = append(c.spans, scope.GetSpans()...)
		}
	}
	c.raw = append(c.raw, body...)
	close(c.grown)
	c.grown = make(chan struct{})
}

// wait waits until the spans of a trace fit.
func (c *collecting) wait(ctx context.Context, t *testing.T, trace string, fits func(map[string]int) bool) []*otlp.Span {
	t.Helper()
	for {
		c.mu.Lock()
		var spans []*otlp.Span
		names := map[string]int{}
		for _, s := range c.spans {
			if hex.EncodeToString(s.GetTraceId()) == trace {
				spans, names[s.GetName()] = append(spans, s), names[s.GetName()]+1
			}
		}
		grown := c.grown
		c.mu.Unlock()
		if fits(names) {
			return spans
		}
		select {
		case <-grown:
		case <-ctx.Done():
			t.Fatalf("the trace %s has only %v", trace, names)
		}
	}
}

func has(names ...string) func(map[string]int) bool {
	return func(have map[string]int) bool {
		for _, n := range names {
			if have[n] == 0 {
				return false
			}
		}
		return true
	}
}

// One order is one connected trace from the webhook to the delivery, and no span
// says what anybody wrote, nor any key.
func TestSpans_AnOrderIsOneConnectedTraceWithoutSecrets(t *testing.T) {
	t.Parallel()
	for mode, first := range map[string]string{"webhook": "webhook telegram", "polling": "poll telegram"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			w, c := apptest.New(t), collect(t)
			w.Start(quick, map[string]string{"BOT_MODE": mode, "OTEL_EXPORTER_OTLP_ENDPOINT": c.url, "TELEGRAM_WEBHOOK_SECRET": webhookSecret})
			p := w.Person(canary+"Name", "en")
			p.Order("Pictures", "Z-Image", canary+"Prompt")
			p.Wait("the picture", hasPhoto)
			id := one[string](t, pgtest.Pool(t, w.Database), `SELECT id::text FROM generations`)
			spans := c.wait(w.Context(), t, strings.ReplaceAll(id, "-", ""), has(
				first, "update", "generation held", "kie submit", "callback kie", "callback", "generation running", "kie fetch",
				"send generation.result", "telegram sendPhoto", "INSERT", "UPDATE"))
			ids, roots := map[string]bool{}, 0
			for _, s := range spans {
				ids[string(s.GetSpanId())] = true
			}
			for _, s := range spans {
				switch parent := string(s.GetParentSpanId()); {
				case parent == "":
					roots++
					if s.GetName() != first {
						t.Errorf("the trace begins with %q", s.GetName())
					}
				case !ids[parent]:
					t.Errorf("the parent of %q is not in the trace", s.GetName())
				}
			}
			if roots != 1 {
				t.Errorf("%d beginnings", roots)
			}
			c.mu.Lock()
			defer c.mu.Unlock()
			for _, secret := range []string{canary, apptest.Token, apptest.KieKey, apptest.HMACKey, webhookSecret, "/callback/kie/", "/file/", "test-token"} {
				if strings.Contains(string(c.raw), secret) {
					t.Errorf("the export has %q", secret)
				}
			}
		})
	}
}

// A result that is asked for later is a trace of its own, which links to its order's.
func TestSpans_ALaterWishLinksToItsOrder(t *testing.T) {
	t.Parallel()
	w, c := apptest.New(t), collect(t)
	w.Start(quick, map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": c.url})
	p := w.Person("Ada", "en")
	telegramFault(t, w, telegramsim.Fault{Method: "sendPhoto", Action: "drop_after", Count: 1})
	p.Order("Pictures", "Z-Image", "a fox")
	p.WaitText("did not confirm")
	p.PressAnswered("Send it to me")
	p.Wait("the second copy", func(telegramsim.Message) bool { return p.Files() == 2 })
	pool := pgtest.Pool(t, w.Database)
	order := one[string](t, pool, `SELECT replace(id::text, '-', '') FROM generations`)
	wish := one[string](t, pool, `SELECT replace(trace_id::text, '-', '') FROM outbox_messages WHERE key LIKE '%:again:%'`)
	for _, s := range c.wait(w.Context(), t, wish, has("send generation.result")) {
		if s.GetName() == "send generation.result" && (len(s.GetLinks()) != 1 || hex.EncodeToString(s.GetLinks()[0].GetTraceId()) != order) {
			t.Errorf("the delivery links to %v, want %s", s.GetLinks(), order)
		}
	}
	if wish == order {
		t.Error("the wish is in the order's trace")
	}
}

// A collector that is down or silent slows nothing, fails nothing, and is said once.
func TestSpans_ADeadCollectorHarmsNothing(t *testing.T) {
	t.Parallel()
	over := make(chan struct{})
	silent := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-over }))
	t.Cleanup(func() { close(over); silent.Close() })
	for name, address := range map[string]string{"down": "http://127.0.0.1:1", "silent": silent.URL} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := apptest.New(t)
			a, stop := w.Launch(quick, map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": address})
			if err := a.WaitServing(w.Context()); err != nil {
				t.Fatal(err)
			}
			p := w.Person("Ada", "en")
			began := time.Now()
			p.Order("Pictures", "Z-Image", "a fox")
			p.Wait("the picture", hasPhoto)
			t.Logf("an order took %s", time.Since(began).Round(time.Millisecond))
			began = time.Now()
			stop()
			if took := time.Since(began); took > 10*time.Second { // three for the spans, the rest for a busy machine
				t.Errorf("the stop took %s", took)
			}
			if n := strings.Count(w.Logged(), "traces not exported"); n != 1 {
				t.Errorf("it was said %d times", n)
			}
		})
	}
}
