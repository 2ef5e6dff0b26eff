package app

import (
	"runtime"
	"runtime/debug"
	"slices"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"kiosk/internal/console"
	"kiosk/internal/generation"
	"kiosk/internal/inbox"
	"kiosk/internal/lane"
	"kiosk/internal/ledger"
	"kiosk/internal/outbox"
	"kiosk/internal/pg"
	"kiosk/internal/provider"
	"kiosk/internal/telegram"
)

// metrics are the metrics of all rooms, made once: workers come and go with the
// terms, what they have counted stays.
type metrics struct {
	registry   *prometheus.Registry
	console    *console.Metrics
	inbox      *inbox.Metrics
	outbox     *outbox.Metrics
	generation *generation.Metrics
	ledger     *ledger.Metrics
	provider   *provider.Metrics
	telegram   *telegram.Metrics
	low        prometheus.Gauge
	swept      *prometheus.CounterVec
}

func newMetrics(version string) *metrics {
	r := prometheus.NewRegistry()
	r.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), buildInfo(version))
	m := &metrics{
		registry: r, console: console.NewMetrics(r), inbox: inbox.NewMetrics(r), outbox: outbox.NewMetrics(r),
		generation: generation.NewMetrics(r), ledger: ledger.NewMetrics(r), provider: provider.NewMetrics(r), telegram: telegram.NewMetrics(r),
		low: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "kiosk_provider_low_credits", Help: "Credits below which the operators are alarmed (LOW_CREDITS).",
		}),
	}
	m.swept = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "kiosk_sweep_rows_total", Help: "Rows that were left behind and cleared away, by sweep.",
	}, []string{"sweep"})
	r.MustRegister(m.low, m.swept)
	lanes := lane.NewMetrics(r)
	m.inbox.Lane, m.outbox.Lane, m.generation.Lane = lanes, lanes, lanes
	return m
}

func buildInfo(version string) prometheus.Collector {
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "kiosk_build_info", Help: "1; the labels say what runs.",
		ConstLabels: prometheus.Labels{"version": version, "commit": commit(), "go": runtime.Version()},
	}, func() float64 { return 1 })
}

func commit() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	i := slices.IndexFunc(info.Settings, func(s debug.BuildSetting) bool { return s.Key == "vcs.revision" })
	if i < 0 {
		return "unknown"
	}
	return info.Settings[i].Value
}

// collect registers what is read from parts rather than counted by them.
func (m *metrics) collect(a *App) {
	m.registry.MustRegister(a.console.Collector(), pg.NewPoolMetrics(a.pool))
	m.low.Set(float64(a.cfg.LowCredits))
}
