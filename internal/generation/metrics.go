package generation

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"kiosk/internal/lane"
)

// Metrics measure stations 5 to 7. Models are labels of counters only: a
// histogram for each would be a thousand series.
type Metrics struct {
	Lane *lane.Metrics // of the lanes; nil: not measured

	started  *prometheus.CounterVec
	finished *prometheus.CounterVec
	phase    *prometheus.HistogramVec
	lost     prometheus.Counter
}

// The phases of a generation.
const (
	phaseWaiting    = "waiting"    // from the order to its first submission
	phaseSubmitting = "submitting" // from the submission to its acceptance
	phaseRunning    = "running"    // from the submission to the end
	phaseTotal      = "total"      // from the order to the end
)

// NewMetrics makes the metrics and registers them; nil registers them nowhere.
func NewMetrics(r prometheus.Registerer) *Metrics {
	f := promauto.With(r)
	return &Metrics{
		started: f.NewCounterVec(prometheus.CounterOpts{
			Name: "kiosk_generation_started_total", Help: "Orders whose submission was begun.",
		}, []string{"model"}),
		finished: f.NewCounterVec(prometheus.CounterOpts{
			Name: "kiosk_generation_finished_total", Help: "Orders that came to their end; cause says why one failed.",
		}, []string{"model", "outcome", "cause"}),
		phase: f.NewHistogramVec(prometheus.HistogramOpts{
			Name: "kiosk_generation_phase_duration_seconds", Help: "Duration of the phases of an order.",
			Buckets: []float64{.1, .5, 1, 2.5, 5, 10, 30, 60, 120, 300, 900, 3600, 7200},
		}, []string{"phase"}),
		lost: f.NewCounter(prometheus.CounterOpts{
			Name: "kiosk_generation_lost_submissions_total", Help: "Submissions whose answer never came.",
		}),
	}
}

func (m *Metrics) took(phase string, seconds float64) {
	m.phase.WithLabelValues(phase).Observe(seconds)
}

// submitted records a submission that is about to be made, in g's state before it.
func (m *Metrics) submitted(g Generation) {
	if g.attempts > 0 {
		return // a repetition of one that the provider dropped
	}
	m.started.WithLabelValues(g.Model).Inc()
	m.took(phaseWaiting, g.age)
}

// ended records the end of an order, in g's state before it.
func (m *Metrics) ended(g Generation, outcome State, cause string) {
	m.finished.WithLabelValues(g.Model, string(outcome), cause).Inc()
	m.took(phaseTotal, g.age)
	if g.State == Running {
		m.took(phaseRunning, g.submitAge)
	}
}
