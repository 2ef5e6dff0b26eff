package smoke_test

import (
	"context"
	"errors"
	"io"
	"maps"
	"net"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/PaulSonOfLars/gotgbot/v2"
	"github.com/jackc/pgx/v5/pgxpool"

	"kiosk/internal/app"
	"kiosk/internal/app/apptest"
	"kiosk/internal/generation"
	"kiosk/internal/pg/pgtest"
	"kiosk/internal/smoke"
	"kiosk/internal/telegram"
	"kiosk/singleton"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Run(m)) }

// stage is a deployment that a test breaks.
type stage struct {
	*apptest.World
	settings map[string]string
	before   bool // nothing runs yet
	change   func(*smoke.Config)
	pool     *pgxpool.Pool // of a superuser
	ctx      context.Context
}

// newStage is a deployment that is fine: everything is set up and nothing runs.
func newStage(t *testing.T) *stage {
	w := apptest.New(t)
	s := &stage{World: w, settings: w.Settings("http://127.0.0.1:9"), before: true, change: func(*smoke.Config) {}, pool: pgtest.Pool(t, w.Database), ctx: w.Context()}
	s.register()
	return s
}

func (s *stage) api() *gotgbot.Bot {
	api, err := telegram.New(apptest.Token, s.SimURL)
	if err != nil {
		s.T.Fatal(err)
	}
	return api
}

func (s *stage) load() (app.Config, []app.Problem) {
	cfg, err := app.LoadConfig(func(name string) (string, bool) { v, ok := s.settings[name]; return v, ok })
	if e, ok := errors.AsType[*app.ConfigError](err); ok {
		return cfg, e.Problems
	}
	return cfg, nil
}

// register sets the webhook as an instance does.
func (s *stage) register() {
	cfg, _ := s.load()
	if err := cfg.RegisterWebhook(s.ctx, s.api()); err != nil {
		s.T.Fatal(err)
	}
}

// serve runs a real instance; the settings are then its own.
func (s *stage) serve() *app.App {
	a := s.Start(generation.Limits{}, nil)
	s.settings, s.before = s.Settings(a.URL()), false
	return a
}

// hold makes somebody the ACTIVE instance who does no work.
func (s *stage) hold() {
	e, err := singleton.New(singleton.Config{Name: app.LockName, URL: s.Database, Instance: "holder"})
	if err != nil {
		s.T.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = e.Run(ctx, func(ctx context.Context, _ *singleton.Term) error { <-ctx.Done(); return nil })
	}()
	s.T.Cleanup(func() { stop(); <-done })
	if err := e.WaitState(s.ctx, singleton.Active); err != nil {
		s.T.Fatal(err)
	}
	s.before = false
}

func (s *stage) exec(sql string) {
	s.T.Helper()
	if _, err := s.pool.Exec(s.ctx, sql); err != nil {
		s.T.Fatalf("%s: %v", sql, err)
	}
}

// smoke runs the checks, all but the slow ones unless they are named.
func (s *stage) smoke(only ...string) smoke.Report {
	cfg, problems := s.load()
	c := cfg.Smoke(problems)
	c.BeforeStart = s.before
	c.Only = slices.DeleteFunc(smoke.Names(), func(n string) bool { return n == "lock" || n == "generation" })
	if len(only) > 0 {
		c.Only = only
	}
	s.change(&c)
	return smoke.Run(s.ctx, c)
}

// scratch counts what smoke may have left.
func (s *stage) scratch() (n int) {
	err := s.pool.QueryRow(s.ctx, `SELECT (SELECT count(*) FROM inbox_messages) + (SELECT count(*) FROM singleton_lease WHERE name <> 'kiosk')
		+ (SELECT count(*) FROM singleton_fence WHERE name <> 'kiosk') + (SELECT count(*) FROM singleton_event WHERE name <> 'kiosk')
		+ (SELECT count(*) FROM bot_users) + (SELECT count(*) FROM outbox_messages)`).Scan(&n)
	if err != nil {
		s.T.Fatal(err)
	}
	return n
}

func bad(r smoke.Report) []smoke.Result {
	return slices.DeleteFunc(slices.Clone(r.Checks), func(c smoke.Result) bool { return c.Status == smoke.Pass })
}

func TestRun_AHealthyDeploymentPassesWithinTheLimitAndLeavesNothing(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	a := s.serve()
	calls := len(s.Telegram.Calls(0))
	began := time.Now()
	r := s.smoke(slices.DeleteFunc(smoke.Names(), func(n string) bool { return n == "generation" })...)
	if took := time.Since(began); took > smoke.Limit {
		t.Errorf("took %s", took)
	}
	if !r.OK || len(bad(r)) > 0 || len(r.Checks) < 20 {
		t.Errorf("%d checks, not fine: %+v", len(r.Checks), bad(r))
	}
	if n := s.scratch(); n != 0 {
		t.Errorf("%d rows were left", n)
	}
	for _, c := range s.Telegram.Calls(0)[calls:] {
		if strings.HasPrefix(c.Method, "send") || strings.HasPrefix(c.Method, "edit") || strings.HasPrefix(c.Method, "answer") {
			t.Errorf("smoke made somebody call %s", c.Method)
		}
	}
	if st := a.Elector().Status(); st.State != singleton.Active || st.Epoch != 1 {
		t.Errorf("the instance is %s of epoch %d after smoke", st.State, st.Epoch)
	}
}

// A killed run leaves its rows; a later one removes them, and only them.
func TestRun_SweepsWhatAKilledRunLeft(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.serve()
	s.exec(`INSERT INTO singleton_lease (name, beat_at) VALUES ('smoke/old', now() - interval '2 hours'), ('smoke/young', now()), ('other', now() - interval '2 hours')`)
	s.exec(`INSERT INTO inbox_messages (source, key, lane, body, received_at, state) VALUES
		('telegram', 'smoke:old', 'x', '', now() - interval '2 hours', 'done'), ('telegram', 'smoke:young', 'x', '', now(), 'done'), ('telegram', '7', 'x', '', now() - interval '2 hours', 'done')`)
	if r := s.smoke("inbox", "lock"); !r.OK {
		t.Errorf("%+v", bad(r))
	}
	if n := s.scratch(); n != 4 {
		t.Errorf("%d rows are there, want the four that are young or not smoke's", n)
	}
}

func TestRun_WhatNeedsAFailedCheckIsSkippedWithItsName(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.settings["DATABASE_URL"] = "postgres://kiosk@127.0.0.1:1/kiosk"
	for _, c := range s.smoke().Checks {
		if c.Check == "migrations" && (c.Status != smoke.Skipped || c.Cause != `waits for the check "database"`) {
			t.Errorf("%+v", c)
		}
		if c.Check == "telegram token" && c.Status != smoke.Pass {
			t.Errorf("%+v", c)
		}
	}
}

// All mistakes are named at once, and the checks that they do not concern run.
func TestRun_AMissingSettingSkipsOnlyWhatReadsIt(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	maps.Copy(s.settings, map[string]string{"TELEGRAM_BOT_TOKEN": "", "KIE_API_KEY": ""})
	status := map[string]smoke.Result{}
	for _, c := range s.smoke().Checks {
		status[c.Check] = c
	}
	if c := status["settings"]; c.Status != smoke.Fail || !strings.Contains(c.Cause, "TELEGRAM_BOT_TOKEN") || !strings.Contains(c.Cause, "KIE_API_KEY") {
		t.Errorf("%+v", c)
	}
	if status["telegram token"].Status != smoke.Skipped || status["kie key"].Status != smoke.Skipped || status["database"].Status != smoke.Pass {
		t.Errorf("%+v", status)
	}
}

// Servers that accept and say nothing cost patience, but not more than the limit.
func TestRun_EndsInTimeWhenEverybodyHangs(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	silent := listenPG(t, func(c net.Conn) { _, _ = io.Copy(io.Discard, c) })
	u, err := url.Parse(silent)
	if err != nil {
		t.Fatal(err)
	}
	maps.Copy(s.settings, map[string]string{"DATABASE_URL": silent + "?sslmode=disable", "TELEGRAM_API_URL": "http://" + u.Host, "KIE_API_URL": "http://" + u.Host})
	s.before = false
	began := time.Now()
	r := s.smoke(slices.DeleteFunc(smoke.Names(), func(n string) bool { return n == "generation" })...)
	if took := time.Since(began); took > 10*time.Second || r.OK {
		t.Errorf("took %s: %+v", took, bad(r))
	}
	for _, c := range bad(r) {
		if c.Status == smoke.Fail && c.Check != "database" && c.Check != "telegram token" && c.Check != "kie key" {
			t.Errorf("%+v", c)
		}
	}
}
