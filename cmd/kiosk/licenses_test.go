package main

import (
	"flag"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write licenses.txt and docs/faults.md anew")

// linked returns the folder of every module that the program is made of, and of
// Go itself.
func linked(t *testing.T) map[string]string {
	t.Helper()
	for _, name := range []string{"../../go.mod", "../../go.sum"} {
		if _, err := os.ReadFile(name); err != nil { // also tells the test cache what the list depends on
			t.Fatal(err)
		}
	}
	ask := func(args ...string) string {
		cmd := exec.CommandContext(t.Context(), "go", args...)
		cmd.Env = append(os.Environ(), "GOOS=linux", "CGO_ENABLED=0")
		out, err := cmd.Output()
		if err != nil {
			t.Fatal(err)
		}
		return strings.TrimSpace(string(out))
	}
	dirs := map[string]string{"The Go standard library": ask("env", "GOROOT")}
	for line := range strings.Lines(ask("list", "-deps", "-f", "{{with .Module}}{{.Path}}\t{{.Dir}}{{end}}", ".")) {
		if name, dir, ok := strings.Cut(strings.TrimSpace(line), "\t"); ok {
			dirs[name] = dir
		}
	}
	return dirs
}

// license returns a module's licence, and the notice that some ask to go with it.
func license(t *testing.T, dir string) string {
	t.Helper()
	files, err := filepath.Glob(dir + "/LICEN[SC]E*")
	if err != nil || len(files) != 1 {
		t.Fatalf("%s: licence files %v, want one", dir, files)
	}
	notices, err := filepath.Glob(dir + "/NOTICE*")
	if err != nil {
		t.Fatal(err)
	}
	var texts []string
	for _, file := range append(files, notices...) {
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		texts = append(texts, strings.TrimSpace(strings.ReplaceAll(string(raw), "\r\n", "\n")))
	}
	return strings.Join(texts, "\n\n")
}

// licensesOf renders each text once, under the names of all that come with it.
func licensesOf(t *testing.T, dirs map[string]string) string {
	t.Helper()
	names := map[string][]string{}
	var texts []string
	for _, name := range slices.Sorted(maps.Keys(dirs)) {
		text := license(t, dirs[name])
		if names[text] == nil {
			texts = append(texts, text)
		}
		names[text] = append(names[text], name)
	}
	var b strings.Builder
	for _, text := range texts {
		b.WriteString("== " + strings.Join(names[text], "\n== ") + "\n\n" + text + "\n\n")
	}
	return b.String()
}

func TestLicenses_AreThoseOfAllThatIsLinked(t *testing.T) {
	t.Parallel()
	dirs := linked(t)
	if len(dirs) < 10 {
		t.Fatalf("only %d modules", len(dirs))
	}
	want := licensesOf(t, dirs)
	if *update {
		if err := os.WriteFile("licenses.txt", []byte(want), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	if licenses != want {
		t.Error("licenses.txt is out of date: go test ./cmd/kiosk -run Licenses -update")
	}
	out, _, code := kiosk(t, nil, "version", "--licenses")
	if code != 0 || !strings.HasSuffix(out, want) || !strings.HasPrefix(out, "kiosk ") {
		t.Errorf("version --licenses: exit code %d, %d bytes", code, len(out))
	}
}
