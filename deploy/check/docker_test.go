package check

import (
	"bytes"
	"debug/buildinfo"
	"debug/elf"
	"encoding/json"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/linter"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
	"github.com/moby/buildkit/frontend/dockerfile/shell"
	"github.com/moby/patternmatcher"
	"github.com/moby/patternmatcher/ignorefile"
)

// stages parses a Dockerfile with BuildKit, and returns what its linter says.
func stages(t *testing.T, text string) (list []instructions.Stage, warnings []string) {
	t.Helper()
	tree, err := parser.Parse(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range tree.Warnings {
		warnings = append(warnings, w.Short)
	}
	lint := linter.New(&linter.Config{Warn: func(rule, _, _, message string, _ []parser.Range) {
		warnings = append(warnings, rule+": "+message)
	}})
	list, _, err = instructions.Parse(tree.AST, lint)
	if err != nil {
		t.Fatal(err)
	}
	return list, warnings
}

func TestDockerfile_TheLinterIsAwake(t *testing.T) {
	t.Parallel()
	_, warnings := stages(t, strings.Replace(read(t, "../Dockerfile"), "AS build", "as build", 1))
	if len(warnings) == 0 {
		t.Error("mixed letters of FROM … as pass: the linter checks nothing")
	}
}

func TestDockerfile_IsWhatBuildKitReads(t *testing.T) {
	t.Parallel()
	list, warnings := stages(t, read(t, "../Dockerfile"))
	if len(list) != 2 || len(warnings) > 0 {
		t.Fatalf("%d stages, warnings: %q", len(list), warnings)
	}
	image := list[1]
	if !strings.HasPrefix(image.BaseName, "gcr.io/distroless/static-") || !strings.HasSuffix(image.BaseName, ":nonroot") {
		t.Errorf("the image is based on %s", image.BaseName)
	}
	seen := map[string]bool{}
	for _, c := range image.Commands {
		seen[strings.ToUpper(c.Name())] = true
		switch c := c.(type) {
		case *instructions.EntrypointCommand:
			if c.PrependShell {
				t.Error("ENTRYPOINT needs a shell, which the image lacks and which would keep the signals to itself")
			}
		case *instructions.CmdCommand:
			if c.PrependShell {
				t.Error("CMD needs a shell, which the image lacks")
			}
		case *instructions.HealthCheckCommand:
			if strings.Join(c.Health.Test, " ") != "CMD /kiosk health" {
				t.Errorf("HEALTHCHECK %v", c.Health.Test)
			}
		}
	}
	for _, name := range []string{"ENTRYPOINT", "CMD", "HEALTHCHECK", "USER", "EXPOSE", "STOPSIGNAL"} {
		if !seen[name] {
			t.Errorf("no %s", name)
		}
	}
}

// Platforms that build from a clone of their own tell the commit in their own words.
func TestDockerfile_TheCommitComesFromWhoeverKnowsIt(t *testing.T) {
	t.Parallel()
	list, _ := stages(t, read(t, "../Dockerfile"))
	for want, env := range map[string][]string{
		"r": {"RENDER_GIT_COMMIT=r", "RAILWAY_GIT_COMMIT_SHA="}, "w": {"RAILWAY_GIT_COMMIT_SHA=w"}, "unknown": nil,
	} {
		got := "no ARG COMMIT"
		for _, c := range list[0].Commands {
			arg, ok := c.(*instructions.ArgCommand)
			if !ok || arg.Args[0].Key != "COMMIT" {
				continue
			}
			var err error
			if got, _, err = shell.NewLex('\\').ProcessWord(*arg.Args[0].Value, shell.EnvsFromSlice(env)); err != nil {
				t.Fatal(err)
			}
		}
		if got != want {
			t.Errorf("%v: %q", env, got)
		}
	}
}

// buildCommand is the RUN of the build stage that makes the binary.
func buildCommand(t *testing.T) string {
	t.Helper()
	list, _ := stages(t, read(t, "../Dockerfile"))
	for _, c := range list[0].Commands {
		if run, ok := c.(*instructions.RunCommand); ok && strings.Contains(strings.Join(run.CmdLine, " "), "go build") {
			return strings.Join(run.CmdLine, " ")
		}
	}
	t.Fatal("no RUN builds")
	return ""
}

// buildContext copies what .dockerignore lets into the image's build.
func buildContext(t *testing.T) string {
	t.Helper()
	patterns, err := ignorefile.ReadAll(strings.NewReader(read(t, "../../.dockerignore")))
	if err != nil {
		t.Fatal(err)
	}
	ignored, err := patternmatcher.New(patterns)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	err = filepath.WalkDir("../..", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := strings.TrimPrefix(strings.TrimPrefix(path, "../.."), "/")
		if d.IsDir() {
			if strings.HasPrefix(d.Name(), ".") && name != "" {
				return filepath.SkipDir
			}
			return nil
		}
		if out, err := ignored.MatchesOrParentMatches(name); err != nil || out {
			return err
		}
		raw, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o750); err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(dir, name), raw, 0o600)
	})
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// built is a time that stands nowhere else.
const built = "2031-02-03T04:05:06Z"

// limit is what the binary may weigh, in bytes.
const limit = 40_000_000

func TestBinary_BuiltAsTheImageDoesIsStaticAndSmall(t *testing.T) {
	t.Parallel()
	bin := filepath.Join(t.TempDir(), "kiosk")
	cmd := exec.Command("sh", "-ec", strings.ReplaceAll(buildCommand(t), "/out/kiosk", bin))
	cmd.Dir = buildContext(t)
	cmd.Env = append(os.Environ(), "TARGETOS=linux", "TARGETARCH="+runtime.GOARCH, "VERSION=v0.0.0-check", "COMMIT=0123456789abcdef", "BUILT="+built, "GOWORK=off", "GOFLAGS=")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	info, err := os.Stat(bin)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("the binary has %.1f MB of %.0f", float64(info.Size())/1e6, limit/1e6)
	if info.Size() > limit {
		t.Errorf("the binary has %d bytes, more than %d", info.Size(), limit)
	}
	isStatic(t, bin)
	if raw, err := os.ReadFile(bin); err != nil || !bytes.Contains(raw, []byte(built)) {
		t.Errorf("the binary does not know when it was built, so no version is newer than another: %v", err)
	}
	if runtime.GOOS == "linux" {
		answers(t, bin)
	}
}

func isStatic(t *testing.T, bin string) {
	t.Helper()
	f, err := elf.Open(bin)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP || p.Type == elf.PT_DYNAMIC {
			t.Errorf("the binary needs a dynamic linker (%v), which the image lacks", p.Type)
		}
	}
}

// answers runs what the deploy files run, as far as it needs no settings.
func answers(t *testing.T, bin string) {
	t.Helper()
	out, err := exec.Command(bin, "version", "--json").Output()
	if err != nil {
		t.Fatal(err)
	}
	var v struct{ Version, Commit string }
	if err := json.Unmarshal(out, &v); err != nil || v.Version != "v0.0.0-check" || v.Commit != "0123456789abcdef" {
		t.Errorf("version: %s %v", out, err)
	}
	carriesLicenses(t, bin)
	for _, command := range []string{"serve", "migrate up", "health"} {
		out, err := exec.Command(bin, append(strings.Fields(command), "--help")...).CombinedOutput()
		if err != nil || !strings.Contains(string(out), "kiosk "+command) {
			t.Errorf("%s: %v %s", command, err, out)
		}
	}
}

// carriesLicenses asks the binary what it was built from, and for each licence.
func carriesLicenses(t *testing.T, bin string) {
	t.Helper()
	info, err := buildinfo.ReadFile(bin)
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(bin, "version", "--licenses").Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range info.Deps {
		if !strings.Contains(string(out), "== "+m.Path+"\n") {
			t.Errorf("the binary has no licence text of %s", m.Path)
		}
	}
}
