package main

import (
	"os/exec"
	"path/filepath"
	"testing"
)

// A patch that does not fit any more protects nothing.
func TestMutants_FitTheSourcesAndNameTheirScenarios(t *testing.T) {
	t.Parallel()
	list, err := readMutants("mutants", scenarios())
	if err != nil {
		t.Fatal(err)
	}
	root, err := moduleRoot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := exec.LookPath("git"); err != nil {
		t.Skip("git is not installed")
	}
	mutants := 0
	for _, m := range list {
		if m.Control {
			continue
		}
		mutants++
		if m.What == "" || m.Rounds < 1 {
			t.Errorf("%s says neither what it breaks nor how often: %+v", m.Name, m)
		}
		file, err := filepath.Abs(m.patch)
		if err != nil {
			t.Fatal(err)
		}
		if err := call(t.Context(), root, "git", "apply", "-C1", "--check", file); err != nil {
			t.Errorf("%s: %v", m.Name, err)
		}
	}
	if mutants < 20 {
		t.Errorf("%d mutants, want at least 20", mutants)
	}
}
