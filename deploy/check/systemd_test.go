package check

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// analyze writes the unit with a program that exists, as systemd-analyze looks for it.
func analyze(t *testing.T, change func(unit string) string, args ...string) (string, error) {
	t.Helper()
	tool, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("NOT RUN: systemd-analyze is not installed (Debian: apt-get install systemd)")
	}
	path := filepath.Join(t.TempDir(), "kiosk.service")
	unit := strings.ReplaceAll(change(read(t, "../systemd/kiosk.service")), "/usr/local/bin/kiosk", "/bin/true")
	if err := os.WriteFile(path, []byte(unit), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(tool, append(args, path)...).CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

// It ends with 0 even for keys that it does not know, so any word is a failure.
func TestSystemd_VerifyHasNothingToSay(t *testing.T) {
	t.Parallel()
	if out, err := analyze(t, asItIs, "verify", "--man=no"); err != nil || out != "" {
		t.Errorf("%v\n%s", err, out)
	}
	if out, _ := analyze(t, func(s string) string { return strings.Replace(s, "KillMode", "KilMode", 1) }, "verify", "--man=no"); out == "" {
		t.Error("a misspelt key passes: the check checks nothing")
	}
}

func TestSystemd_TheUnitIsConfined(t *testing.T) {
	t.Parallel()
	out, err := analyze(t, asItIs, "security", "--offline=true", "--no-pager", "--threshold=15")
	if err != nil {
		t.Errorf("exposure above 1.5: %v\n%s", err, out)
	}
	t.Log(out[strings.LastIndex(out, "→"):])
}
