package kiesim_test

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"kiosk/internal/simulator/kiesim"
)

func kept(dir string, duration time.Duration) func(*kiesim.Config) {
	return func(c *kiesim.Config) {
		c.DataDir = dir
		c.Duration = func(string) time.Duration { return duration }
	}
}

func TestRestart_KeepsBalanceTasksAndResults(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first := start(t, kept(dir, time.Millisecond))
	url := first.urls(picture, prompt("remember me"))[0]
	_, before := get(t, url)
	id := first.sim.Tasks()[0].ID
	if err := first.sim.Close(); err != nil {
		t.Fatal(err)
	}

	second := start(t, kept(dir, time.Millisecond))
	rec := second.record(id)
	if rec.State != kiesim.StateSuccess || second.credits() != 10000-4 {
		t.Errorf("state %s, balance %v", rec.State, second.credits())
	}
	again := decode[struct{ ResultURLs []string }](t, []byte(*rec.ResultJSON)).ResultURLs[0]
	if !strings.HasPrefix(again, second.url) {
		t.Errorf("result at %s: its address must follow the server", again)
	}
	if _, after := get(t, again); !bytes.Equal(before, after) {
		t.Error("the result changed")
	}
}

func TestRestart_GoesOnWithUnfinishedTasks(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	url, deliveries := listen(t)
	first := start(t, kept(dir, time.Hour))
	script(t, first, kiesim.Fault{Method: "generate", Action: "nsfw", Count: 1})
	doomed := first.mustCreate(picture, prompt("x"), "")
	if err := first.sim.Close(); err != nil {
		t.Fatal(err)
	}
	shorten(t, dir)

	second := start(t, kept(dir, time.Millisecond))
	if rec := second.ended(doomed); rec.State != kiesim.StateFail || second.credits() != 10000 {
		t.Errorf("state %s, balance %v: the outcome was decided before the restart", rec.State, second.credits())
	}
	id := second.mustCreate(picture, prompt("x"), url)
	if d := receive(t, deliveries); d.record.TaskID != id {
		t.Errorf("callback of %s, want %s", d.record.TaskID, id)
	}
}

// shorten makes every kept task due: an hour passes.
func shorten(t *testing.T, dir string) {
	t.Helper()
	name := filepath.Join(dir, "state.json")
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	state := decode[map[string]any](t, data)
	for _, task := range state["tasks"].([]any) {
		task.(map[string]any)["due"] = time.Now().Format(time.RFC3339Nano)
	}
	if err := os.WriteFile(name, encode(t, state), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestRestart_SendsTheCallbackThatWasStillDue(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	refusing := httptest.NewServer(http.NotFoundHandler())
	defer refusing.Close()
	patient := func(c *kiesim.Config) { c.Backoff = time.Hour }
	first := start(t, kept(dir, time.Millisecond), patient)
	first.mustCreate(picture, prompt("x"), refusing.URL)
	first.waitFor(func(c kiesim.Call) bool { return c.Method == "callback" && c.Code == 404 })
	if err := first.sim.Close(); err != nil {
		t.Fatal(err)
	}
	second := start(t, kept(dir, time.Millisecond), patient)
	second.waitFor(func(c kiesim.Call) bool { return c.Method == "callback" && c.Code == 404 })
}

func TestNew_RefusesWhatItCannotUse(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "state.json"), []byte("{broken"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, cfg := range map[string]kiesim.Config{"no key": {}, "broken state": {APIKey: "k", DataDir: dir}} {
		if sim, err := kiesim.New(cfg); err == nil {
			sim.Close()
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestClose_StopsRunningTasksAndIsIdempotent(t *testing.T) {
	t.Parallel()
	a := start(t, func(c *kiesim.Config) { c.Duration = func(string) time.Duration { return time.Hour } })
	a.mustCreate(picture, prompt("x"), "")
	for range 2 {
		if err := a.sim.Close(); err != nil {
			t.Error(err)
		}
	}
	if state := a.sim.Tasks()[0].State; state != kiesim.StateWaiting {
		t.Errorf("state %s", state)
	}
}
