package lane

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// Metrics measure all lanes of a process.
type Metrics struct {
	busy    *prometheus.GaugeVec
	workers *prometheus.GaugeVec
	work    *prometheus.HistogramVec
	scans   *prometheus.CounterVec
}

// NewMetrics makes the metrics and registers them; nil registers them nowhere.
func NewMetrics(r prometheus.Registerer) *Metrics {
	f := promauto.With(r)
	return &Metrics{
		busy: f.NewGaugeVec(prometheus.GaugeOpts{
			Name: "kiosk_lane_busy", Help: "Keys that are worked on now.",
		}, []string{"lane"}),
		workers: f.NewGaugeVec(prometheus.GaugeOpts{
			Name: "kiosk_lane_workers", Help: "Keys that can be worked on at the same time.",
		}, []string{"lane"}),
		work: f.NewHistogramVec(prometheus.HistogramOpts{
			Name: "kiosk_lane_work_duration_seconds", Help: "Duration of one piece of work.",
			Buckets: []float64{.001, .005, .01, .05, .1, .5, 1, 5, 15, 60, 180},
		}, []string{"lane", "outcome"}),
		scans: f.NewCounterVec(prometheus.CounterOpts{
			Name: "kiosk_lane_scans_total", Help: "Searches for due work; full means that every worker was busy.",
		}, []string{"lane", "outcome"}),
	}
}

func (m *Metrics) worked(lane string, start time.Time, err error) {
	outcome := "done"
	if err != nil {
		outcome = "failed"
	}
	m.work.WithLabelValues(lane, outcome).Observe(time.Since(start).Seconds())
}
