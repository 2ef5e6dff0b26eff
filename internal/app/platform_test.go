package app_test

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"maps"
	"strings"
	"testing"

	"kiosk/internal/app"
)

// line is what NotePlatform logs.
type line struct {
	Level    string `json:"level"`
	Platform string `json:"platform"`
	Limit    int    `json:"stop_limit_seconds"`
	Assumed  bool   `json:"assumed"`
	Remedy   string `json:"remedy"`
}

func note(t *testing.T, env map[string]string) []line {
	t.Helper()
	all := valid()
	maps.Copy(all, env)
	var out bytes.Buffer
	app.NotePlatform(slog.New(slog.NewJSONHandler(&out, nil)), func(name string) (string, bool) { v, ok := all[name]; return v, ok }, mustLoad(t, all))
	var list []line
	for text := range strings.Lines(out.String()) {
		var l line
		if err := json.Unmarshal([]byte(text), &l); err != nil {
			t.Fatal(err)
		}
		list = append(list, l)
	}
	return list
}

func TestPlatform_ADefaultThatIsTooShortIsWarnedOf(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		mark, value string
		limit       int
		remedy      string
	}{
		"Render":     {"RENDER", "true", 30, "maxShutdownDelaySeconds"},
		"Fly.io":     {"FLY_APP_NAME", "kiosk", 5, "kill_timeout"},
		"Railway":    {"RAILWAY_ENVIRONMENT_ID", "e", 0, "drainingSeconds"},
		"Kubernetes": {"KUBERNETES_SERVICE_HOST", "10.0.0.1", 30, "terminationGracePeriodSeconds"},
	} {
		got := note(t, map[string]string{c.mark: c.value})
		if len(got) != 2 || got[0].Level != "INFO" || got[1].Level != "WARN" {
			t.Errorf("%s: %+v, want the limit and a warning", name, got)
			continue
		}
		for _, l := range got {
			if l.Platform != name || l.Limit != c.limit || !l.Assumed {
				t.Errorf("%s: %+v", name, l)
			}
		}
		for _, part := range []string{c.remedy, "STOP_GRACE_SECONDS", "SHUTDOWN_TIMEOUT_SECONDS"} {
			if !strings.Contains(got[1].Remedy, part) {
				t.Errorf("%s: the remedy %q does not name %s", name, got[1].Remedy, part)
			}
		}
		if got := note(t, map[string]string{c.mark: c.value, "STOP_GRACE_SECONDS": "90"}); len(got) != 1 || got[0].Limit != 90 || got[0].Assumed {
			t.Errorf("%s with the limit said: %+v, want it and no warning", name, got)
		}
		if got := note(t, map[string]string{c.mark: ""}); len(got) != 0 {
			t.Errorf("%s is seen in an empty variable: %+v", name, got)
		}
	}
}

func TestPlatform_TheStopMayTakeAllOfTheLimitAndNoMore(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		grace, shutdown string
		warned          bool
	}{{"60", "60", false}, {"59", "60", true}, {"75", "60", false}, {"10", "5", false}} {
		got := note(t, map[string]string{"STOP_GRACE_SECONDS": c.grace, "SHUTDOWN_TIMEOUT_SECONDS": c.shutdown})
		if warned := len(got) == 2; warned != c.warned {
			t.Errorf("limit %s, stop %s: %+v", c.grace, c.shutdown, got)
		}
	}
}

func TestPlatform_RailwaysVariableIsBelieved(t *testing.T) {
	t.Parallel()
	railway := map[string]string{"RAILWAY_ENVIRONMENT_ID": "e", "RAILWAY_DEPLOYMENT_DRAINING_SECONDS": "90"}
	if got := note(t, railway); len(got) != 1 || got[0].Limit != 90 || got[0].Assumed {
		t.Errorf("%+v", got)
	}
	railway["STOP_GRACE_SECONDS"] = "45"
	if got := note(t, railway); len(got) != 2 || got[1].Limit != 45 {
		t.Errorf("%+v, want what the operator says to win", got)
	}
}

func TestPlatform_WhereNothingIsKnownNothingIsSaid(t *testing.T) {
	t.Parallel()
	if got := note(t, nil); len(got) != 0 {
		t.Errorf("%+v", got)
	}
}
