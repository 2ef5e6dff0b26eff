package main

import (
	"bufio"
	"encoding/json"
	"io"
	"strings"
	"testing"

	"kiosk/internal/app/apptest"
)

func lockStatus(t *testing.T, env map[string]string) (lockJSON, int) {
	t.Helper()
	stdout, stderr, code := kiosk(t, env, "lock", "status", "--json")
	var s lockJSON
	if err := json.Unmarshal([]byte(stdout), &s); err != nil {
		t.Fatalf("%v: %s %s", err, stdout, stderr)
	}
	return s, code
}

// An operator sees who is ACTIVE, asks for a hand-over, reads why it happened,
// and breaks the glass.
func TestLock_StatusStepDownHistoryTakeover(t *testing.T) {
	t.Parallel()
	w := apptest.New(t)
	b := newBalancer(t)
	env := w.Settings(b.URL)
	env["INSTANCE_NAME"] = "operator"

	_, stderr, code := kiosk(t, env, "lock", "status")
	if code != 1 || !strings.Contains(stderr, "kiosk serve") {
		t.Fatalf("without any instance: %d %s", code, stderr)
	}
	first := serve(t, env, "first")
	until(t, "the first instance is ACTIVE", first.active)
	second := serve(t, env, "second")
	until(t, "the second waits", func() bool {
		s, code := lockStatus(t, env)
		return code == 0 && s.State == "ACTIVE" && s.Holder == "first" && s.Mode == "session" && len(s.Standbys) == 1
	})

	watch := command(t, env, "lock", "watch")
	out, err := watch.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := watch.Start(); err != nil {
		t.Fatal(err)
	}
	seen := bufio.NewScanner(out)
	expect(t, seen, "first is ACTIVE")

	_, stderr, code = kiosk(t, env, "lock", "step-down", "--instance", "second")
	if code != 1 || !strings.Contains(stderr, "first") {
		t.Errorf("stepping down another: %d %s", code, stderr)
	}
	stdout, stderr, code := kiosk(t, env, "lock", "step-down", "--instance", "first")
	if code != 0 || !strings.Contains(stdout, "second is ACTIVE, epoch 2") {
		t.Fatalf("step-down: %d %s %s", code, stdout, stderr)
	}
	expect(t, seen, "asked")
	expect(t, seen, "second is ACTIVE")
	_ = watch.Process.Kill()
	_, _ = io.Copy(io.Discard, out)
	_ = watch.Wait() // it was killed
	until(t, "the second instance says so", second.active)

	_, stderr, code = kiosk(t, env, "lock", "takeover")
	if code != 2 || !strings.Contains(stderr, "--force") {
		t.Errorf("takeover without --force: %d %s", code, stderr)
	}
	stdout, stderr, code = kiosk(t, env, "lock", "takeover", "--force")
	if code != 0 || !strings.Contains(stderr, "the term of second is over") || !strings.Contains(stdout, "is ACTIVE") {
		t.Fatalf("takeover: %d %s %s", code, stdout, stderr)
	}
	s, _ := lockStatus(t, env)
	if s.Takeovers.Forced != 1 || s.Takeovers.Total != 1 || s.LastTakeover == nil {
		t.Errorf("status %+v", s)
	}
	stdout, _, code = kiosk(t, env, "lock", "history")
	for _, want := range []string{"acquired", "asked", "to step down, by an operator on", "released", "forced: ended the term of second"} {
		if !strings.Contains(stdout, want) {
			t.Errorf("history (%d) lacks %q:\n%s", code, want, stdout)
		}
	}
}

// expect reads lines until one contains part.
func expect(t *testing.T, lines *bufio.Scanner, part string) {
	t.Helper()
	var all []string
	for lines.Scan() {
		all = append(all, lines.Text())
		if strings.Contains(lines.Text(), part) {
			return
		}
	}
	t.Fatalf("no line with %q:\n%s", part, strings.Join(all, "\n"))
}
