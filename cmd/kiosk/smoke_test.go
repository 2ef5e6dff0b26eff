package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"kiosk/internal/app/apptest"
	"kiosk/internal/smoke"
)

// The whole command against a running process: a table and exit code 0, then,
// with the process killed, the one line that says so and exit code 1.
func TestSmoke_TableAndExitCode(t *testing.T) {
	t.Parallel()
	w := apptest.New(t)
	address := freeAddress(t)
	env := w.Settings("http://" + address)
	env["LISTEN"] = address
	cmd := command(t, env, "serve")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	until(t, "smoke is green", func() bool {
		stdout, stderr, code := kiosk(t, env, "smoke")
		if code == 0 && !strings.Contains(stdout, "21 passed") {
			t.Fatalf("exit code 0, and\n%s%s", stdout, stderr)
		}
		return code == 0
	})
	_ = cmd.Process.Kill()
	until(t, "the lost instance is named", func() bool {
		env["LOCK_STALE_HEARTBEAT_SECONDS"], env["LOCK_HEARTBEAT_SECONDS"] = "4", "1"
		stdout, _, code := kiosk(t, env, "smoke", "--json")
		var r smoke.Report
		if err := json.Unmarshal([]byte(stdout), &r); err != nil {
			t.Fatal(err)
		}
		for _, c := range r.Checks {
			if c.Check == "instances" && strings.HasPrefix(c.Cause, "the ACTIVE instance is silent") {
				return code == 1 && !r.OK && c.Remedy != ""
			}
		}
		return false
	})
	if _, _, code := kiosk(t, env, "smoke", "--before-start"); code != 0 {
		t.Errorf("--before-start ended with %d", code)
	}
}

func TestSmoke_LiveWantsALimitAndKeepsIt(t *testing.T) {
	t.Parallel()
	w := apptest.New(t)
	env := w.Settings("http://127.0.0.1:9")
	if _, stderr, code := kiosk(t, env, "smoke", "--live"); code != 2 || !strings.Contains(stderr, "--max-cost") {
		t.Errorf("without a limit: %d, %s", code, stderr)
	}
	stdout, stderr, _ := kiosk(t, env, "smoke", "--before-start", "--live", "--max-cost", "0.001")
	if strings.Contains(stderr, "ordering") || !strings.Contains(stdout, "the cheapest generation costs more than --max-cost") {
		t.Errorf("above the limit:\n%s%s", stdout, stderr)
	}
	if n := len(w.Kie.Tasks()); n != 0 {
		t.Fatalf("%d generations were ordered", n)
	}
	stdout, stderr, _ = kiosk(t, env, "smoke", "--before-start", "--live", "--max-cost", "0.02")
	if !strings.Contains(stderr, "ordering one generation of z-image for 0.004 USD") || !strings.Contains(stdout, "z-image for 0.004 USD in") {
		t.Errorf("within the limit:\n%s%s", stdout, stderr)
	}
}

// What stops the settings from being read at all is wrong usage; mistakes in them
// are lines of the table.
func TestSmoke_BrokenSettingsAreALineAndAMissingFileIsUsage(t *testing.T) {
	t.Parallel()
	stdout, _, code := kiosk(t, nil, "smoke")
	if code != 1 || !strings.Contains(stdout, "TELEGRAM_BOT_TOKEN: is required") || !strings.Contains(stdout, "waits for the setting DATABASE_URL") {
		t.Errorf("%d\n%s", code, stdout)
	}
	missing := filepath.Join(t.TempDir(), "none.env")
	if _, _, code := kiosk(t, map[string]string{"KIOSK_ENV_FILE": missing}, "smoke"); code != 2 {
		t.Errorf("a missing file ended with %d", code)
	}
	if _, err := os.Stat(missing); err == nil {
		t.Error("smoke made the file")
	}
}
