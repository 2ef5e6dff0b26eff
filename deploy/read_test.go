package deploy_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/BurntSushi/toml"
	"github.com/goccy/go-yaml"
)

// The readers are strict: a field that is misspelt, or that the rules do not
// know, fails here and not on the platform, which would ignore it.

func file(t *testing.T, name string) []byte {
	t.Helper()
	raw, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func strictYAML(t *testing.T, name string, into any) {
	t.Helper()
	if err := yaml.NewDecoder(bytes.NewReader(file(t, name)), yaml.Strict()).Decode(into); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
}

// dockerfile returns the instructions of the last stage.
func dockerfile(t *testing.T) map[string]string {
	t.Helper()
	text := strings.ReplaceAll(string(file(t, "Dockerfile")), "\\\n", " ")
	stage := map[string]string{}
	for line := range strings.Lines(text) {
		word, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		if word == "FROM" {
			clear(stage)
		}
		stage[word] = strings.TrimSpace(rest)
	}
	return stage
}

func words(t *testing.T, list string) []string {
	t.Helper()
	var all []string
	if err := json.Unmarshal([]byte(list), &all); err != nil {
		t.Fatalf("%s is no exec form: %v", list, err)
	}
	return all
}

func readDockerfile(t *testing.T) []artefact {
	t.Helper()
	d := dockerfile(t)
	_, health, _ := strings.Cut(d["HEALTHCHECK"], "CMD ")
	return []artefact{{
		name: "Dockerfile", runs: append(words(t, d["ENTRYPOINT"]), words(t, d["CMD"])...), health: words(t, health),
		signal: d["STOPSIGNAL"], port: d["EXPOSE"], user: d["USER"], platformGrace: true,
	}}
}

// composeFile is read with the merge keys of YAML applied.
type composeFile struct {
	Services map[string]struct {
		Image           string            `yaml:"image"`
		Command         []string          `yaml:"command"`
		Entrypoint      []string          `yaml:"entrypoint"`
		EnvFile         string            `yaml:"env_file"`
		Environment     map[string]string `yaml:"environment"`
		User            string            `yaml:"user"`
		ReadOnly        bool              `yaml:"read_only"`
		StopSignal      string            `yaml:"stop_signal"`
		StopGracePeriod string            `yaml:"stop_grace_period"`
		Healthcheck     struct {
			Test []string `yaml:"test"`
		} `yaml:"healthcheck"`
	} `yaml:"services"`
}

// readCompose looks at the instances only; compose-go has the last word on the
// file as a whole, see the module check.
func readCompose(t *testing.T) []artefact {
	t.Helper()
	var f composeFile
	// A key beside a merged one overrides it, which this library takes for a duplicate.
	if err := yaml.UnmarshalWithOptions(file(t, "compose/compose.yaml"), &f, yaml.AllowDuplicateMapKey()); err != nil {
		t.Fatal(err)
	}
	image := dockerfile(t)
	var list []artefact
	for name, s := range f.Services {
		if !strings.HasPrefix(name, "kiosk-") {
			continue
		}
		if len(s.Command) > 0 || len(s.Entrypoint) > 0 || s.EnvFile != ".env" || !s.ReadOnly {
			t.Errorf("%s: want the image's own command, .env, and a read-only root", name)
		}
		env := fromEnvFile(string(file(t, "compose/.env.example")))
		maps.Copy(env, s.Environment)
		delete(env, "POSTGRES_PASSWORD") // for compose itself
		list = append(list, artefact{
			name: "compose " + name, runs: append(words(t, image["ENTRYPOINT"]), words(t, image["CMD"])...), health: s.Healthcheck.Test[1:],
			signal: s.StopSignal, grace: seconds(t, s.StopGracePeriod), port: image["EXPOSE"], user: s.User, env: env, complete: true,
		})
	}
	return list
}

func fromEnvFile(text string) map[string]string {
	env := map[string]string{}
	for _, m := range regexp.MustCompile(`(?m)^([A-Z_]+)=(.*)$`).FindAllStringSubmatch(text, -1) {
		env[m[1]] = m[2]
	}
	return env
}

type renderFile struct {
	Databases []struct {
		Name                 string   `yaml:"name"`
		Plan                 string   `yaml:"plan"`
		Region               string   `yaml:"region"`
		PostgresMajorVersion string   `yaml:"postgresMajorVersion"`
		DatabaseName         string   `yaml:"databaseName"`
		User                 string   `yaml:"user"`
		IPAllowList          []string `yaml:"ipAllowList"`
		ConnectionPool       string   `yaml:"connectionPool"`
	} `yaml:"databases"`
	Services []struct {
		Type                    string      `yaml:"type"`
		Name                    string      `yaml:"name"`
		Runtime                 string      `yaml:"runtime"`
		DockerfilePath          string      `yaml:"dockerfilePath"`
		DockerContext           string      `yaml:"dockerContext"`
		Plan                    string      `yaml:"plan"`
		Region                  string      `yaml:"region"`
		NumInstances            int         `yaml:"numInstances"`
		AutoDeployTrigger       string      `yaml:"autoDeployTrigger"`
		HealthCheckPath         string      `yaml:"healthCheckPath"`
		MaxShutdownDelaySeconds int         `yaml:"maxShutdownDelaySeconds"`
		PreDeployCommand        string      `yaml:"preDeployCommand"`
		EnvVars                 []renderVar `yaml:"envVars"`
	} `yaml:"services"`
}

type renderVar struct {
	Key          string `yaml:"key"`
	Value        string `yaml:"value"`
	Sync         *bool  `yaml:"sync"`
	FromDatabase struct {
		Name     string `yaml:"name"`
		Property string `yaml:"property"`
	} `yaml:"fromDatabase"`
}

func readRender(t *testing.T) []artefact {
	t.Helper()
	var f renderFile
	strictYAML(t, "render.yaml", &f)
	if len(f.Services) != 1 || len(f.Databases) != 1 {
		t.Fatal("render.yaml: want one service and one database")
	}
	s, env := f.Services[0], map[string]string{}
	for _, v := range s.EnvVars {
		switch {
		case v.FromDatabase.Property != "":
			if v.FromDatabase.Name != f.Databases[0].Name {
				t.Errorf("render.yaml: %s names another database", v.Key)
			}
			env[v.Key] = reference + v.FromDatabase.Property
		case v.Sync != nil && !*v.Sync:
			env[v.Key] = reference + "asked for"
		default:
			env[v.Key] = v.Value
		}
	}
	checkDockerfilePath(t, s.DockerfilePath, "..")
	return []artefact{{
		name: "render.yaml", runs: imageCommand(t), ready: []string{s.HealthCheckPath}, migrate: s.PreDeployCommand,
		signal: "SIGTERM", grace: s.MaxShutdownDelaySeconds, port: env["PORT"], user: dockerfile(t)["USER"], env: env, complete: true,
		given: []string{"WEBHOOK_BASE_URL"},
	}}
}

type flyFile struct {
	App           string `toml:"app"`
	PrimaryRegion string `toml:"primary_region"`
	KillSignal    string `toml:"kill_signal"`
	KillTimeout   int    `toml:"kill_timeout"`
	Build         struct {
		Dockerfile string `toml:"dockerfile"`
	} `toml:"build"`
	Deploy struct {
		Strategy       string `toml:"strategy"`
		ReleaseCommand string `toml:"release_command"`
	} `toml:"deploy"`
	Env         map[string]string `toml:"env"`
	HTTPService struct {
		InternalPort       int    `toml:"internal_port"`
		ForceHTTPS         bool   `toml:"force_https"`
		AutoStopMachines   string `toml:"auto_stop_machines"`
		AutoStartMachines  bool   `toml:"auto_start_machines"`
		MinMachinesRunning int    `toml:"min_machines_running"`
		Checks             []struct {
			Method      string `toml:"method"`
			Path        string `toml:"path"`
			Interval    string `toml:"interval"`
			Timeout     string `toml:"timeout"`
			GracePeriod string `toml:"grace_period"`
		} `toml:"checks"`
	} `toml:"http_service"`
	VM []struct {
		Size   string `toml:"size"`
		Memory string `toml:"memory"`
	} `toml:"vm"`
}

func readFly(t *testing.T) []artefact {
	t.Helper()
	var f flyFile
	meta, err := toml.Decode(string(file(t, "fly.toml")), &f)
	if err != nil {
		t.Fatal(err)
	}
	if extra := meta.Undecoded(); len(extra) > 0 {
		t.Errorf("fly.toml: unknown keys %v", extra)
	}
	if f.Deploy.Strategy != "bluegreen" || f.HTTPService.AutoStopMachines != "off" || f.HTTPService.MinMachinesRunning < 1 || !f.HTTPService.ForceHTTPS {
		t.Errorf("fly.toml: %+v %+v: machines would go down before or between deploys", f.Deploy, f.HTTPService)
	}
	var ready []string
	for _, c := range f.HTTPService.Checks {
		ready = append(ready, c.Path)
	}
	checkDockerfilePath(t, f.Build.Dockerfile, ".")
	return []artefact{{
		name: "fly.toml", runs: imageCommand(t), ready: ready, migrate: imageCommand(t)[0] + " " + f.Deploy.ReleaseCommand,
		signal: f.KillSignal, grace: f.KillTimeout, port: f.Env["PORT"], alsoPorts: []int{f.HTTPService.InternalPort}, user: dockerfile(t)["USER"], env: f.Env,
	}}
}

type railwayFile struct {
	Schema string `json:"$schema"`
	Build  struct {
		Builder        string `json:"builder"`
		DockerfilePath string `json:"dockerfilePath"`
	} `json:"build"`
	Deploy struct {
		PreDeployCommand   []string `json:"preDeployCommand"`
		HealthcheckPath    string   `json:"healthcheckPath"`
		HealthcheckTimeout int      `json:"healthcheckTimeout"`
		NumReplicas        int      `json:"numReplicas"`
		OverlapSeconds     int      `json:"overlapSeconds"`  // a number: a string is refused there
		DrainingSeconds    int      `json:"drainingSeconds"` // a number, too
		RestartPolicyType  string   `json:"restartPolicyType"`
	} `json:"deploy"`
}

func readRailway(t *testing.T) []artefact {
	t.Helper()
	var f railwayFile
	d := json.NewDecoder(bytes.NewReader(file(t, "railway.json")))
	d.DisallowUnknownFields()
	if err := d.Decode(&f); err != nil {
		t.Fatal(err)
	}
	if f.Build.Builder != "DOCKERFILE" || f.Deploy.OverlapSeconds <= 0 {
		t.Errorf("railway.json: %+v", f)
	}
	checkDockerfilePath(t, f.Build.DockerfilePath, "..")
	return []artefact{{
		name: "railway.json", runs: imageCommand(t), ready: []string{f.Deploy.HealthcheckPath}, migrate: strings.Join(f.Deploy.PreDeployCommand, " "),
		signal: "SIGTERM", grace: f.Deploy.DrainingSeconds, port: dockerfile(t)["EXPOSE"], user: dockerfile(t)["USER"], envElsewhere: true,
	}}
}

// unit is a systemd unit's [Service] section; a name may stand several times.
func unit(t *testing.T) map[string][]string {
	t.Helper()
	section, all := "", map[string][]string{}
	for line := range strings.Lines(string(file(t, "systemd/kiosk.service"))) {
		line = strings.TrimSpace(line)
		name, value, ok := strings.Cut(line, "=")
		switch {
		case line == "" || strings.HasPrefix(line, "#"):
		case strings.HasPrefix(line, "["):
			section = line
		case !ok:
			t.Errorf("kiosk.service: %q", line)
		case section == "[Service]":
			all[name] = append(all[name], value)
		}
	}
	return all
}

func readSystemd(t *testing.T) []artefact {
	t.Helper()
	u := unit(t)
	one := func(name string) string {
		if len(u[name]) != 1 {
			t.Errorf("kiosk.service: want %s once, have %v", name, u[name])
			return ""
		}
		return u[name][0]
	}
	env := map[string]string{}
	for pair := range strings.FieldsSeq(strings.Join(u["Environment"], " ")) {
		name, value, _ := strings.Cut(pair, "=")
		env[name] = value
	}
	for name, want := range map[string]string{
		"Type": "notify", "KillMode": "mixed", "DynamicUser": "yes", "Restart": "always", "NoNewPrivileges": "yes", "ProtectSystem": "strict",
		"CapabilityBoundingSet": "", "EnvironmentFile": "/etc/kiosk/kiosk.env", "StateDirectory": "kiosk",
	} {
		if got := one(name); got != want {
			t.Errorf("kiosk.service: %s=%s, want %s", name, got, want)
		}
	}
	runs := strings.Fields(strings.TrimPrefix(one("ExecStart"), "/usr/local/bin"))
	return []artefact{{
		name: "kiosk.service", runs: runs, migrate: strings.TrimPrefix(one("ExecStartPre"), "/usr/local/bin"),
		signal: one("KillSignal"), grace: seconds(t, one("TimeoutStopSec")+"s"), port: dockerfile(t)["EXPOSE"], user: one("User"), env: env,
	}}
}

// documents splits a YAML file with anchors resolved.
func documents(t *testing.T, name string) []map[string]any {
	t.Helper()
	var list []map[string]any
	for d := yaml.NewDecoder(bytes.NewReader(file(t, name))); ; {
		var doc map[string]any
		err := d.Decode(&doc)
		if errors.Is(err, io.EOF) {
			return list
		}
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		list = append(list, doc)
	}
}

func imageCommand(t *testing.T) []string {
	t.Helper()
	d := dockerfile(t)
	return slices.Concat(words(t, d["ENTRYPOINT"]), words(t, d["CMD"]))
}

func checkDockerfilePath(t *testing.T, path, from string) {
	t.Helper()
	if _, err := os.Stat(from + "/" + strings.TrimPrefix(path, "./")); err != nil {
		t.Error(err)
	}
}

func seconds(t *testing.T, text string) int {
	t.Helper()
	d, err := time.ParseDuration(text)
	if err != nil {
		t.Error(err)
	}
	return int(d.Seconds())
}
