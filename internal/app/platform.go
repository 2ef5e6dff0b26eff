package app

import (
	"cmp"
	"log/slog"
	"strconv"
)

// platform is a place to run that ends an instance which does not stop in time.
type platform struct {
	name   string
	mark   string // the variable by which it is known
	limit  int    // seconds between its SIGTERM and its SIGKILL, unless told otherwise
	remedy string
}

// platforms are the ones that can be seen in the environment. Their defaults are
// all below SHUTDOWN_TIMEOUT_SECONDS.
func platforms() []platform {
	return []platform{
		{"Render", "RENDER", 30, "maxShutdownDelaySeconds: 90 in render.yaml"},
		{"Fly.io", "FLY_APP_NAME", 5, `kill_signal = "SIGTERM" and kill_timeout = 90 in fly.toml`},
		{"Railway", "RAILWAY_ENVIRONMENT_ID", 0, "drainingSeconds: 90 in railway.json"},
		{"Kubernetes", "KUBERNETES_SERVICE_HOST", 30, "terminationGracePeriodSeconds: 90 in the Deployment, of which preStop takes its part"},
	}
}

// railwayLimit is how Railway shows the limit when it is set by a variable.
const railwayLimit = "RAILWAY_DEPLOYMENT_DRAINING_SECONDS"

// stopLimit is how long a stop may take before the platform kills the instance.
type stopLimit struct {
	platform platform
	seconds  int
	assumed  bool // the platform's default, because nobody said otherwise
}

// findStopLimit returns false where nothing is known.
func findStopLimit(getenv Getenv, told int) (stopLimit, bool) {
	for _, p := range platforms() {
		if v, ok := getenv(p.mark); !ok || v == "" {
			continue
		}
		if told == 0 && p.name == "Railway" {
			v, _ := getenv(railwayLimit)
			told, _ = strconv.Atoi(v) // unset: 0
		}
		return stopLimit{p, cmp.Or(told, p.limit), told == 0}, true
	}
	return stopLimit{platform{name: "unknown", remedy: "a longer stop limit of the platform"}, told, false}, told > 0
}

// NotePlatform logs how long a stop may take here, where that can be seen, and
// warns when it may be cut short: the next instance would have to find what was
// under way.
func NotePlatform(log *slog.Logger, getenv Getenv, c Config) {
	limit, known := findStopLimit(getenv, c.StopGrace)
	if !known {
		return
	}
	log.Info("the platform limits a stop", "platform", limit.platform.name, "stop_limit_seconds", limit.seconds, "assumed", limit.assumed)
	if c.Shutdown > limit.seconds {
		log.Warn("a stop may be cut short", "platform", limit.platform.name,
			"stop_limit_seconds", limit.seconds, "assumed", limit.assumed, "shutdown_timeout_seconds", c.Shutdown,
			"remedy", "set "+limit.platform.remedy+", and STOP_GRACE_SECONDS to what that leaves for the program; or lower SHUTDOWN_TIMEOUT_SECONDS")
	}
}
