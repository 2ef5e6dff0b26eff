package main

import (
	"strings"
	"sync"
	"testing"
	"time"

	"kiosk/internal/app/apptest"
	"kiosk/internal/pg/pgtest"
	"kiosk/singleton"
)

// transcript keeps what a process logs.
type transcript struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *transcript) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *transcript) count(part string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.b.String(), part)
}

// The program that this one replaces had a heartbeat statement that failed, a
// threshold of 30 seconds and a start-up of 60: its instances killed each other
// for ever, and a line every few seconds said so. Here the thresholds are
// refused, a slow start-up plays no part, and a failing heartbeat is one alarm
// that people see and that ends when its cause does.
func TestServe_TheOldFailureCannotReturn(t *testing.T) {
	t.Parallel()
	w := apptest.New(t)
	b := newBalancer(t)
	env := w.Settings(b.URL)

	env["LOCK_HEARTBEAT_SECONDS"], env["LOCK_STALE_HEARTBEAT_SECONDS"] = "15", "30"
	_, stderr, code := kiosk(t, env, "serve")
	if code != 2 || !strings.Contains(stderr, "2 x LOCK_HEARTBEAT_SECONDS (30) must not exceed 0.6 x it (18.0)") {
		t.Fatalf("the old thresholds: %d %s", code, stderr)
	}
	env["LOCK_HEARTBEAT_SECONDS"], env["LOCK_STALE_HEARTBEAT_SECONDS"] = "1", "4"

	first := serve(t, env, "first")
	b.add(first)
	until(t, "the first instance is ACTIVE", first.active)
	second := serve(t, env, "second")
	log := &transcript{}
	third := command(t, withName(env, "third", freeAddress(t)), "serve")
	third.Stdout, third.Stderr = log, log
	if err := third.Start(); err != nil {
		t.Fatal(err)
	}
	pool := pgtest.Pool(t, w.Database)
	standbys := func() int {
		h, err := singleton.ReadHolding(t.Context(), pool, "kiosk")
		if err != nil {
			return -1
		}
		return len(h.Standbys)
	}
	until(t, "both others wait", func() bool { return standbys() == 2 })

	if _, err := pool.Exec(t.Context(), `ALTER TABLE singleton_lease RENAME COLUMN beat_at TO beat_gone`); err != nil {
		t.Fatal(err)
	}
	until(t, "the holder has given up", func() bool { return !first.active() })
	until(t, "health shows the trouble", func() bool {
		h := second.health()
		return h.Status == "degraded" && h.Lock.Trouble != ""
	})
	for seen := time.Now(); time.Since(seen) < 8*time.Second; time.Sleep(100 * time.Millisecond) { // two stale times
		if first.active() || second.active() {
			t.Fatal("an instance is ACTIVE and cannot prove it")
		}
	}
	if !first.alive() || !second.alive() {
		t.Error("a process ended")
	}
	if n := log.count("lock trouble\""); n == 0 || n > 5 {
		t.Errorf("%d lines about the trouble:\n%s", n, log.b.String())
	}
	if _, err := pool.Exec(t.Context(), `ALTER TABLE singleton_lease RENAME COLUMN beat_gone TO beat_at`); err != nil {
		t.Fatal(err)
	}
	until(t, "an instance is ACTIVE again", func() bool {
		h, err := singleton.ReadHolding(t.Context(), pool, "kiosk")
		return err == nil && h.Held && h.HeartbeatAge < 2*time.Second && h.Beats > 0
	})
	_ = third.Process.Kill()
	_ = third.Wait() // it was killed
	takeovers, err := singleton.ReadTakeovers(t.Context(), pool, "kiosk")
	if err != nil || takeovers.Heartbeat+takeovers.Idle != 0 {
		t.Errorf("takeovers %+v, %v", takeovers, err)
	}
}

func withName(env map[string]string, name, address string) map[string]string {
	own := map[string]string{"INSTANCE_NAME": name, "LISTEN": address, "LOG_FORMAT": "text"}
	for k, v := range env {
		if _, ok := own[k]; !ok {
			own[k] = v
		}
	}
	return own
}
