// Package deploy_test holds the files of this folder against the program: times,
// probes, port, user, command, and the names of settings.
package deploy_test

import (
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"kiosk/internal/app"
)

// reference begins a value that the platform looks up.
const reference = "→ "

// reserve is what the platform must give beyond the program's own limit, so that
// the program says why it ends, and not the platform.
const reserve = 10

// artefact is what a file says about one instance.
type artefact struct {
	name          string
	runs          []string // the whole command
	migrate       string   // the command before the instance, "" where a service of its own does it
	health        []string // the check by command
	ready, live   []string // paths of the checks by HTTP
	signal        string
	grace         int // seconds between the signal and the kill
	platformGrace bool
	preStop       int // seconds of it before the signal
	port          string
	alsoPorts     []int
	user          string
	env           map[string]string
	envElsewhere  bool     // the file cannot hold settings
	complete      bool     // all required settings are in it
	given         []string // by the platform
}

func artefacts(t *testing.T) []artefact {
	t.Helper()
	list := slices.Concat(readDockerfile(t), readCompose(t), readRender(t), readFly(t), readRailway(t), readKubernetes(t), readSystemd(t))
	if len(list) != 8 {
		t.Fatalf("%d instances in 7 artefacts, want 8", len(list))
	}
	return list
}

func join(list []string) string { return strings.Join(list, " ") }

func setting(name string) (app.Setting, bool) {
	list := (app.Config{}).Settings()
	i := slices.IndexFunc(list, func(s app.Setting) bool { return s.Name == name })
	if i < 0 {
		return app.Setting{}, false
	}
	return list[i], true
}

// known reports whether LoadConfig looks at a variable.
func known(name string) bool {
	if slices.Contains([]string{"KIOSK_ENV_FILE", "ADMIN_ID", "RENDER_EXTERNAL_URL"}, name) {
		return true
	}
	if _, ok := setting(name); ok {
		return true
	}
	s, ok := setting(strings.TrimSuffix(name, "_FILE"))
	return ok && s.Secret
}

func defaultOf(t *testing.T, name string) int {
	t.Helper()
	s, _ := setting(name)
	n, err := strconv.Atoi(s.Default)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestDeploy_TheStopFitsIntoWhatThePlatformGives(t *testing.T) {
	t.Parallel()
	for _, a := range artefacts(t) {
		if a.platformGrace {
			continue
		}
		stop := defaultOf(t, "SHUTDOWN_TIMEOUT_SECONDS")
		if v, ok := a.env["SHUTDOWN_TIMEOUT_SECONDS"]; ok {
			stop, _ = strconv.Atoi(v)
		} else if !a.envElsewhere {
			t.Errorf("%s does not set SHUTDOWN_TIMEOUT_SECONDS beside the grace that must fit it", a.name)
		}
		if a.grace < a.preStop+stop+reserve {
			t.Errorf("%s: %d s of grace are not enough for %d of preStop, %d of the stop and %d in reserve", a.name, a.grace, a.preStop, stop, reserve)
		}
		if told := a.env["STOP_GRACE_SECONDS"]; !a.envElsewhere && told != strconv.Itoa(a.grace-a.preStop) {
			t.Errorf("%s: STOP_GRACE_SECONDS is %q, want %d", a.name, told, a.grace-a.preStop)
		}
	}
}

func TestDeploy_TheStopIsAskedForWithSIGTERM(t *testing.T) {
	t.Parallel()
	for _, a := range artefacts(t) {
		if a.signal != "SIGTERM" {
			t.Errorf("%s: %q", a.name, a.signal)
		}
	}
}

func TestDeploy_ProbesAskTheRightPages(t *testing.T) {
	t.Parallel()
	for _, a := range artefacts(t) {
		switch {
		case a.health != nil && join(a.health) != "/kiosk health":
			t.Errorf("%s: health check %q", a.name, a.health)
		case a.health == nil && len(a.ready) == 0 && a.name != "kiosk.service":
			t.Errorf("%s has no readiness check", a.name)
		}
		for _, path := range a.ready {
			if path != "/readyz" {
				t.Errorf("%s: readiness is %s; only /readyz is yes on PASSIVE and no while stopping", a.name, path)
			}
		}
		for _, path := range a.live {
			if path != "/livez" {
				t.Errorf("%s: liveness is %s; anything but /livez restarts instances for what a restart does not mend", a.name, path)
			}
		}
	}
}

func TestDeploy_OnePortEverywhere(t *testing.T) {
	t.Parallel()
	port := defaultOf(t, "PORT")
	for _, a := range artefacts(t) {
		if a.port != strconv.Itoa(port) {
			t.Errorf("%s: port %s, want %d", a.name, a.port, port)
		}
		for _, p := range a.alsoPorts {
			if p != port {
				t.Errorf("%s: port %d, want %d", a.name, p, port)
			}
		}
	}
}

func TestDeploy_NobodyRunsAsRoot(t *testing.T) {
	t.Parallel()
	for _, a := range artefacts(t) {
		if a.user != "65532:65532" && a.user != "kiosk" { // the image's nonroot; systemd's dynamic user
			t.Errorf("%s runs as %q", a.name, a.user)
		}
	}
}

func TestDeploy_EveryPlatformRunsServeAfterMigrateUp(t *testing.T) {
	t.Parallel()
	for _, a := range artefacts(t) {
		if join(a.runs) != "/kiosk serve" {
			t.Errorf("%s runs %q", a.name, a.runs)
		}
		if byService := strings.HasPrefix(a.name, "compose") || a.platformGrace; a.migrate != "/kiosk migrate up" && !byService {
			t.Errorf("%s migrates by %q", a.name, a.migrate)
		}
	}
}

func TestDeploy_EverySettingExists(t *testing.T) {
	t.Parallel()
	for _, a := range artefacts(t) {
		for _, name := range slices.Sorted(maps.Keys(a.env)) {
			if !known(name) {
				t.Errorf("%s sets %s, which the program does not know", a.name, name)
			}
		}
	}
}

func TestDeploy_WhatIsRequiredIsThereOrAskedFor(t *testing.T) {
	t.Parallel()
	for _, a := range artefacts(t) {
		if !a.complete {
			continue
		}
		required := []string{"WEBHOOK_BASE_URL"}
		for _, s := range (app.Config{}).Settings() {
			if s.Required {
				required = append(required, s.Name)
			}
		}
		for _, name := range required {
			_, there := a.env[name]
			if !there && !slices.Contains(a.given, name) && a.env["BOT_MODE"] != "polling" {
				t.Errorf("%s: nothing says %s", a.name, name)
			}
		}
	}
}

// A secret stands in the platform's store, or in a file that is not kept here.
func TestDeploy_NoFileHoldsASecret(t *testing.T) {
	t.Parallel()
	for _, a := range artefacts(t) {
		for name, value := range a.env {
			s, _ := setting(name)
			looked := value == "" || strings.HasPrefix(value, reference) || strings.Contains(value, "${")
			if s.Secret && !looked {
				t.Errorf("%s holds a value of %s", a.name, name)
			}
		}
	}
}

func TestRender_OnlyTransactionsGoThroughThePool(t *testing.T) {
	t.Parallel()
	env := readRender(t)[0].env
	for name, want := range map[string]string{"DATABASE_URL": "connectionPoolString", "LOCK_DATABASE_URL": "connectionString"} {
		if env[name] != reference+want {
			t.Errorf("%s is %q", name, env[name])
		}
	}
	if env["DATABASE_MIGRATE_URL"] != "" {
		t.Error("DATABASE_MIGRATE_URL is set; the migrations follow the lock's address without it")
	}
}

// mentions are names of variables in prose and in examples.
var mentions = regexp.MustCompile("`?\\b([A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+)\\b")

// foreign are variables of other programs, and words that look like variables.
func foreign() []string {
	return []string{
		"POSTGRES_PASSWORD", "KIOSK_VERSION", // compose's own
		"RAILWAY_PUBLIC_DOMAIN", "RAILWAY_DEPLOYMENT_DRAINING_SECONDS",
		"AF_UNIX", "CGO_ENABLED", "NAME_FILE",
	}
}

func TestDocs_NameOnlyWhatExists(t *testing.T) {
	t.Parallel()
	pages, err := filepath.Glob("../docs/deploy/*.md")
	if err != nil || len(pages) != 6 {
		t.Fatalf("%d pages, want one for each of 6 platforms: %v", len(pages), err)
	}
	for _, page := range append(pages, "../docs/deployment.md") {
		raw, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range mentions.FindAllStringSubmatch(string(raw), -1) {
			if !known(m[1]) && !slices.Contains(foreign(), m[1]) {
				t.Errorf("%s names %s, which the program does not know", page, m[1])
			}
		}
		for _, m := range regexp.MustCompile(`\]\(([^)#]+)\)`).FindAllStringSubmatch(string(raw), -1) {
			if strings.Contains(m[1], "://") {
				continue
			}
			if _, err := os.Stat(filepath.Join(filepath.Dir(page), m[1])); err != nil {
				t.Errorf("%s links to %s: %v", page, m[1], err)
			}
		}
	}
}
