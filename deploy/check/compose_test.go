package check

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/types"
)

// project loads compose.yaml as docker compose does, with a filled-in .env.
func project(t *testing.T, change func(compose string) string, env map[string]string) (*types.Project, error) {
	t.Helper()
	dir := t.TempDir()
	example := read(t, "../compose/.env.example")
	if err := os.WriteFile(filepath.Join(dir, ".env"), []byte(example), 0o600); err != nil {
		t.Fatal(err)
	}
	return loader.LoadWithContext(context.Background(), types.ConfigDetails{
		WorkingDir:  dir,
		ConfigFiles: []types.ConfigFile{{Filename: "compose.yaml", Content: []byte(change(read(t, "../compose/compose.yaml")))}},
		Environment: env,
	}, func(o *loader.Options) {
		o.SetProjectName("kiosk", false)
		o.Profiles = []string{"webhook"}
	})
}

func asItIs(s string) string { return s }

func read(t *testing.T, name string) string {
	t.Helper()
	raw, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

func password() map[string]string { return map[string]string{"POSTGRES_PASSWORD": "p"} }

func TestCompose_IsWhatComposeReads(t *testing.T) {
	t.Parallel()
	p, err := project(t, asItIs, password())
	if err != nil {
		t.Fatal(err)
	}
	if len(p.Services) != 5 {
		t.Errorf("services: %v", p.ServiceNames())
	}
	for _, name := range []string{"kiosk-a", "kiosk-b"} {
		s := p.Services[name]
		if s.StopGracePeriod == nil || time.Duration(*s.StopGracePeriod) != 75*time.Second {
			t.Errorf("%s: stop_grace_period %v", name, s.StopGracePeriod)
		}
		if v := s.Environment["DATABASE_URL"]; v == nil || *v != "postgres://kiosk:p@postgres:5432/kiosk?sslmode=disable" {
			t.Errorf("%s: DATABASE_URL %v", name, v)
		}
		if v := s.Environment["INSTANCE_NAME"]; v == nil || *v != name {
			t.Errorf("%s: INSTANCE_NAME %v", name, v)
		}
		if s.DependsOn["migrate"].Condition != types.ServiceConditionCompletedSuccessfully {
			t.Errorf("%s starts before the schema: %v", name, s.DependsOn)
		}
		if len(s.Ports) > 0 {
			t.Errorf("%s is reachable from outside", name)
		}
	}
	if m := p.Services["migrate"]; strings.Join(m.Command, " ") != "migrate up" || m.DependsOn["postgres"].Condition != types.ServiceConditionHealthy {
		t.Errorf("migrate: %v after %v", m.Command, m.DependsOn)
	}
	if len(p.Services["postgres"].Ports) > 0 {
		t.Error("PostgreSQL is reachable from outside")
	}
}

func TestCompose_RefusesWhatIsMisspeltOrMissing(t *testing.T) {
	t.Parallel()
	if _, err := project(t, asItIs, nil); err == nil || !strings.Contains(err.Error(), "POSTGRES_PASSWORD") {
		t.Errorf("without a password: %v", err)
	}
	if _, err := project(t, func(s string) string { return strings.ReplaceAll(s, "stop_grace_period", "stop_grace_perod") }, password()); err == nil {
		t.Error("a misspelt key passes: the check checks nothing")
	}
}
