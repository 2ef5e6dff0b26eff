package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/PaulSonOfLars/gotgbot/v2"
	"github.com/jackc/pgx/v5/pgxpool"

	"kiosk/internal/admin"
	"kiosk/internal/app"
	"kiosk/internal/app/apptest"
	"kiosk/internal/console"
	"kiosk/internal/generation"
	"kiosk/internal/pg/pgtest"
	"kiosk/internal/smoke"
	"kiosk/internal/telegram"
)

// scene is a deployment with an operator in it, which a fault breaks.
type scene struct {
	*apptest.World
	t    *testing.T
	pool *pgxpool.Pool // of a superuser, past all that is broken
	boss *apptest.Person
	log  *transcript

	env    map[string]string // of the instance, and of smoke
	app    *app.App          // nil: none runs in this process
	health string            // address of an instance to ask
	stop   func()
	others []string // addresses of more instances
	heal   []func() // before the instance stops
}

func newScene(t *testing.T) *scene {
	w := apptest.New(t)
	s := &scene{World: w, t: t, pool: pgtest.Pool(t, w.Database), log: &transcript{}, boss: w.Person("Root", "en"), env: w.Settings("http://127.0.0.1:9")}
	w.Watch = app.Watch{
		Alerts:  admin.Pace{Every: 100 * time.Millisecond, Factor: 0.01},
		Outside: 100 * time.Millisecond, Audit: 200 * time.Millisecond, Snapshot: 50 * time.Millisecond,
	}
	w.Log = s.log
	maps.Copy(s.env, map[string]string{"ADMIN_IDS": strconv.FormatInt(s.boss.ID, 10), "INSTANCE_NAME": "kiosk-1", "LISTEN": "127.0.0.1:0"})
	delete(s.env, "WEBHOOK_BASE_URL") // an instance's own address unless a fault says otherwise
	return s
}

// ran makes it a deployment whose instances have run and are stopped.
func (s *scene) ran() {
	s.env["WEBHOOK_BASE_URL"] = "http://127.0.0.1:9"
	cfg, err := app.LoadConfig(func(name string) (string, bool) { v, ok := s.env[name]; return v, ok })
	if err == nil {
		err = cfg.RegisterWebhook(s.Context(), s.api())
	}
	if err != nil {
		s.t.Fatal(err)
	}
}

// shows waits until /metrics of an instance has a line.
func (s *scene) shows(line string) {
	s.t.Helper()
	until(s.t, "/metrics shows "+line, func() bool {
		resp, err := http.Get(s.health + "/metrics")
		if err != nil {
			return false
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		return err == nil && strings.Contains(string(body), "\n"+line+"\n")
	})
}

// run starts an instance and waits until the operator has pressed START.
func (s *scene) run() {
	s.launch()
	s.boss.Say("/start")
	s.boss.WaitText("100 ₽")
}

// launch starts an instance and waits for nothing.
func (s *scene) launch() {
	s.app, s.stop = s.Launch(generation.Limits{FirstPoll: 50 * time.Millisecond}, s.env)
	s.health = s.app.URL()
}

// again stops the instance and starts it with other settings.
func (s *scene) again(change map[string]string) {
	s.stop()
	maps.Copy(s.env, change)
	s.launch()
}

func (s *scene) exec(sql string) {
	s.t.Helper()
	if _, err := s.pool.Exec(context.Background(), sql); err != nil {
		s.t.Fatalf("%s: %v", sql, err)
	}
}

func (s *scene) api() *gotgbot.Bot {
	api, err := telegram.New(apptest.Token, s.SimURL)
	if err != nil {
		s.t.Fatal(err)
	}
	return api
}

// settings is the environment of a command.
func (s *scene) settings() map[string]string {
	env := maps.Clone(s.env)
	if s.health != "" {
		env["LISTEN"] = strings.TrimPrefix(s.health, "http://")
	}
	if _, set := env["WEBHOOK_BASE_URL"]; !set {
		env["WEBHOOK_BASE_URL"] = "http://" + env["LISTEN"]
	}
	return env
}

// smoke runs the usual checks and those that are named, and returns all lines
// that are not fine.
func (s *scene) smoke(more []string) []smoke.Result {
	env := s.settings()
	cfg, err := app.LoadConfig(func(name string) (string, bool) { v, ok := env[name]; return v, ok })
	var problems []app.Problem
	if e, ok := errors.AsType[*app.ConfigError](err); ok {
		problems = e.Problems
	}
	c := cfg.Smoke(problems)
	c.BeforeStart = s.health == ""
	c.Instances = append(c.Instances, s.others...)
	c.Only = slices.DeleteFunc(smoke.Names(), func(n string) bool {
		return n == "generation" || n == "lock" && !slices.Contains(more, n)
	})
	report := smoke.Run(s.Context(), c)
	return slices.DeleteFunc(report.Checks, func(r smoke.Result) bool { return r.Status != smoke.Fail && r.Status != smoke.Warn })
}

// ask returns the answer of /health in words, "" without one.
func (s *scene) ask() string {
	client := http.Client{Timeout: time.Second}
	resp, err := client.Get(s.health + "/health")
	if err != nil {
		return ""
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return ""
	}
	var h console.Health
	if err := json.Unmarshal(body, &h); err != nil {
		s.t.Fatal(err)
	}
	return inWords(resp.StatusCode, h)
}

// inWords says what differs from an ACTIVE instance that is fine.
func inWords(code int, h console.Health) string {
	text := fmt.Sprintf("%d %s", code, h.Status)
	for i, why := range h.Reasons {
		text += map[bool]string{true: ": ", false: ", "}[i == 0] + string(why)
	}
	for _, part := range []struct {
		name    string
		value   any
		usually any
	}{
		{"lock.mode", h.Lock.Mode, "session"},
		{"lock.takeovers.heartbeat", h.Lock.Takeovers.Heartbeat, int64(0)},
		{"migrations.pending", h.Migrations.Pending, 0},
		{"inbox.failed", h.Inbox.Failed, int64(0)},
		{"generations.stuck", h.Generations.Stuck, int64(0)},
	} {
		if part.value != part.usually {
			text += fmt.Sprintf("; `%s` %v", part.name, part.value)
		}
	}
	if h.Ledger.Audit != nil && h.Ledger.Audit.Defects > 0 {
		text += fmt.Sprintf("; `ledger.audit.defects` %d", h.Ledger.Audit.Defects)
	}
	if h.Lock.State != "ACTIVE" && h.Database.OK {
		text += "; `lock.state` is not ACTIVE"
	}
	return text
}

// record is one line of a log.
var record = regexp.MustCompile(`level=(WARN|ERROR|INFO) msg=("(?:[^"\\]|\\.)*"|\S+)(.*)`)

var attribute = regexp.MustCompile(`\b(?:error|cause|alert|detail|reason|former)=("(?:[^"\\]|\\.)*"|\S+)`)

// logged returns the first line after an offset with this message whose text has
// the part, "" while there is none.
func (s *scene) logged(offset int, message, part string) string {
	for line := range strings.Lines(s.log.since(offset)) {
		m := record.FindStringSubmatch(line)
		if m == nil || unquoted(m[2]) != message || !strings.Contains(line, part) {
			continue
		}
		text := m[1] + " " + message
		for _, a := range attribute.FindAllStringSubmatch(m[3], -1) {
			if said := unquoted(a[1]); said != "" {
				return text + ": " + said
			}
		}
		return text
	}
	return ""
}

func unquoted(s string) string {
	if text, err := strconv.Unquote(s); err == nil {
		return text
	}
	return s
}

// masked replaces what differs from run to run.
func masked(s string) string {
	for _, m := range []struct{ what, by string }{
		{`(127\.0\.0\.1|\[::1\]):\d+`, "HOST:PORT"},
		{`(?:/[\w.-]+)+/\.s\.PGSQL\.\d+`, "SOCKET"},
		{`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`, "ID"},
		{`\b(?:kiosk_test_[0-9_]+|t\d+)\b`, "kiosk"},
		{`broken_\d+`, "kiosk_work"},
		{`\b\d+h\d+m\d+s|\b\d+m\d+s|\b\d+(?:\.\d+)?(?:s|ms|µs)\b`, "N s"},
		{`server process \d+ and \d+`, "server process N and M"},
		{`pending: \d{4}_\w+\.sql`, "pending: the newest file"},
		{`; \d+ more`, ""},
		{`ledger_top_up\((unknown|text)[a-z, ]*\)`, "ledger_top_up(…)"},
		{`waiting: \d+`, "waiting: N"},
		{`user=\w+ database=\w+`, "user=… database=…"},
		{`->HOST:PORT`, ""},
	} {
		s = regexp.MustCompile(m.what).ReplaceAllString(s, m.by)
	}
	return strings.TrimSpace(s)
}
