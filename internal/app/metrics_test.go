package app_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"kiosk/internal/app"
	"kiosk/internal/app/apptest"
	"kiosk/internal/pg/pgtest"
	"kiosk/internal/simulator/kiesim"
	"kiosk/internal/simulator/telegramsim"
)

// scrape returns /metrics.
func scrape(t *testing.T, a *app.App) string {
	t.Helper()
	status, body := ask(t, http.MethodGet, a.URL()+"/metrics")
	if status != http.StatusOK {
		t.Fatalf("/metrics: %d %s", status, body)
	}
	return body
}

// scrapeFresh returns /metrics once what they show of the database is not older
// than the moment at which the last order was settled.
func scrapeFresh(t *testing.T, a *app.App) string {
	t.Helper()
	deadline := time.Now().Add(apptest.Patience)
	for {
		body := scrape(t, a)
		if strings.Contains(body, "\nkiosk_ledger_holds_open 0\n") {
			return body
		}
		if time.Now().After(deadline) {
			t.Fatal("/metrics shows an open hold for ever")
		}
		time.Sleep(100 * time.Millisecond)
	}
}

func ask(t *testing.T, method, url string) (status int, body string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(raw)
}

// served is an instance after one order that went well and one that failed.
func served(t *testing.T) (*apptest.World, *app.App) {
	t.Helper()
	w := apptest.New(t)
	w.Watch = hasty
	a := w.Start(quick, nil)
	p := w.Person("Ada", "en")
	p.Order("Pictures", "Z-Image", "a fox")
	p.Wait("the picture", hasPhoto)
	kieFault(t, w, kiesim.Fault{Method: "generate", Action: "fail", Code: 501, Count: 1})
	p.Order("Pictures", "Z-Image", "a whale")
	p.WaitText("Nothing was charged")
	waitZero(t, pgtest.Pool(t, w.Database), "something is under way", `SELECT count(*) FROM outbox_messages WHERE state IN ('pending', 'sending')`)
	return w, a
}

// Every station of the route shows its rate, its errors and its duration.
func TestMetrics_EveryStationIsMeasured(t *testing.T) {
	t.Parallel()
	_, a := served(t)
	body := scrapeFresh(t, a)
	for _, want := range []string{
		`kiosk_inbox_received_total{result="stored",source="telegram"} `, `kiosk_inbox_ack_duration_seconds_count{source="telegram"} `,
		`kiosk_inbox_handled_duration_seconds_count{outcome="done",source="telegram"} `, `kiosk_inbox_lag_seconds_count{source="telegram"} `,
		`kiosk_generation_started_total{model="z-image"} 2`,
		`kiosk_generation_finished_total{cause="",model="z-image",outcome="succeeded"} 1`,
		`kiosk_generation_finished_total{cause="broken",model="z-image",outcome="failed"} 1`,
		`kiosk_generation_phase_duration_seconds_count{phase="waiting"} 2`, `kiosk_generation_phase_duration_seconds_count{phase="submitting"} 2`,
		`kiosk_generation_phase_duration_seconds_count{phase="running"} 2`, `kiosk_generation_phase_duration_seconds_count{phase="total"} 2`,
		`kiosk_provider_request_duration_seconds_count{code="200",op="createTask",provider="kie"} 2`,
		`kiosk_ledger_transfer_duration_seconds_count{kind="hold",outcome="done"} 2`,
		`kiosk_ledger_transfer_duration_seconds_count{kind="capture",outcome="done"} 1`,
		`kiosk_ledger_transfer_duration_seconds_count{kind="release",outcome="done"} 1`,
		`kiosk_outbox_deliveries_total{kind="generation.result",outcome="sent"} 1`, `kiosk_outbox_delivery_age_seconds_count{kind="generation.result"} 1`,
		`kiosk_telegram_request_duration_seconds_count{method="sendPhoto",outcome="done"} 1`,
		`kiosk_http_request_duration_seconds_count{code="200",method="POST",route="/webhook/telegram"} `,
		`kiosk_lane_workers{lane="outbox"} 48`, `kiosk_singleton_active 1`, `kiosk_singleton_state{state="ACTIVE"} 1`,
		`kiosk_ledger_audit_defects 0`, `kiosk_build_info{`, `kiosk_startup_seconds{phase="ready"} `,
		`kiosk_pg_pool_connections{state="idle"} `, `kiosk_provider_credits{provider="kie"} `, "go_goroutines ", "process_cpu_seconds_total ",
	} {
		if !strings.Contains(body, "\n"+want) {
			t.Errorf("/metrics lacks %s", want)
		}
	}
	problems, err := promlint.New(strings.NewReader(body)).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}

// What the dashboard and the rules ask for is there to be asked.
func TestMetrics_DashboardAndRulesNameOnlyWhatExists(t *testing.T) {
	t.Parallel()
	_, a := served(t)
	exists := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^(kiosk_\w+)`).FindAllStringSubmatch(scrape(t, a), -1) {
		exists[m[1]] = true
	}
	for _, file := range []string{"../../deploy/grafana/kiosk.json", "../../deploy/prometheus/alerts.yml", "../../deploy/prometheus/alerts_test.yml"} {
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		names := regexp.MustCompile(`kiosk_\w+`).FindAllString(string(raw), -1)
		if len(names) < 20 {
			t.Errorf("%s names only %d metrics", file, len(names))
		}
		for _, name := range names {
			if !exists[name] {
				t.Errorf("%s asks for %s, which no instance has", file, name)
			}
		}
	}
}

func TestDashboard_IsValidAndItsPanelsHaveTheirOwnIDs(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile("../../deploy/grafana/kiosk.json")
	if err != nil {
		t.Fatal(err)
	}
	var d struct {
		UID        string `json:"uid"`
		Title      string `json:"title"`
		Templating struct {
			List []struct{ Name string } `json:"list"`
		} `json:"templating"`
		Panels []struct {
			ID      int                      `json:"id"`
			Type    string                   `json:"type"`
			Title   string                   `json:"title"`
			GridPos struct{ X, Y, W, H int } `json:"gridPos"`
			Targets []struct{ Expr string }  `json:"targets"`
		} `json:"panels"`
	}
	if err := json.Unmarshal(raw, &d); err != nil {
		t.Fatal(err)
	}
	if d.UID != "kiosk" || d.Title == "" || len(d.Panels) < 30 || d.Templating.List[0].Name != "DS_PROMETHEUS" {
		t.Fatalf("uid %q, title %q, %d panels, variables %v", d.UID, d.Title, len(d.Panels), d.Templating.List)
	}
	ids, places := map[int]string{}, map[string]string{}
	for _, p := range d.Panels {
		place := fmt.Sprint(p.GridPos.X, ",", p.GridPos.Y)
		if ids[p.ID] != "" || places[place] != "" {
			t.Errorf("panel %q shares the id of %q or the place of %q", p.Title, ids[p.ID], places[place])
		}
		ids[p.ID], places[place] = p.Title, p.Title
		if p.Title == "" || p.GridPos.X+p.GridPos.W > 24 || p.Type != "row" && (len(p.Targets) == 0 || p.Targets[0].Expr == "") {
			t.Errorf("panel %d %q is not whole", p.ID, p.Title)
		}
	}
}

// noise is a log that a test reads.
type noise struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (n *noise) Write(p []byte) (int, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.buf.Write(p)
}

func (n *noise) String() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.buf.String()
}

// No prompt, name, token or key comes into a metric or a log, whatever goes wrong.
// The log is read as it is before the last line of defence cleans it.
func TestMetricsAndLog_HoldNothingPersonalOrSecret(t *testing.T) {
	t.Parallel()
	const canary = "kanarienvogel"
	w, log := apptest.New(t), &noise{}
	w.Watch, w.Log = hasty, log
	a := w.Start(quick, nil)
	p := w.Person("Name-"+canary, "en")
	p.Order("Pictures", "Z-Image", "prompt "+canary)
	p.Wait("the picture", hasPhoto)
	for _, f := range []kiesim.Fault{
		{Method: "generate", Action: "nsfw", Count: 1}, {Method: "createTask", Action: "fail", Code: 402, Count: 1},
		{Method: "createTask", Action: "fail", Code: 401, Count: 1}, {Method: "createTask", Action: "fail", Code: 422, Count: 1},
	} {
		kieFault(t, w, f)
		p.Order("Pictures", "Z-Image", "prompt "+canary)
		p.WaitText("Nothing was charged")
	}
	telegramFault(t, w, telegramsim.Fault{Method: "sendMessage", Action: "html", Count: 1})
	telegramFault(t, w, telegramsim.Fault{Method: "sendMessage", Action: "drop_before", Count: 1})
	p.Say("text " + canary)
	p.Say("/balance")
	p.WaitText("Balance")
	for _, path := range []string{"/" + canary, "/callback/kie/" + canary + "/" + canary, "/webhook/telegram?token=" + canary, "/callback/kie/00000000-0000-0000-0000-000000000000/" + canary} {
		ask(t, http.MethodPost, a.URL()+path)
		ask(t, strings.ToUpper(canary), a.URL()+path)
	}
	_, health := ask(t, http.MethodGet, a.URL()+"/health")
	for what, text := range map[string]string{"/metrics": scrape(t, a), "/health": health, "the log": log.String()} {
		for _, secret := range []string{canary, strings.ToUpper(canary), apptest.Token, strings.Split(apptest.Token, ":")[1], apptest.KieKey, apptest.HMACKey, w.Database} {
			if at := strings.Index(text, secret); at >= 0 {
				t.Errorf("%s holds %q: …%s…", what, secret, text[max(at-200, 0):min(at+100, len(text))])
			}
		}
		if label := regexp.MustCompile(`\w+="[^"]*` + fmt.Sprint(p.ID) + `[^"]*"`).FindString(text); what == "/metrics" && label != "" {
			t.Errorf("/metrics names a person: %s", label)
		}
	}
	if !strings.Contains(log.String(), "generation failed") {
		t.Error("the log was not read")
	}
}
