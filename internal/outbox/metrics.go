package outbox

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"kiosk/internal/lane"
)

// Metrics measure station 8.
type Metrics struct {
	Lane *lane.Metrics // of the lanes; nil: not measured

	delivered *prometheus.CounterVec
	send      *prometheus.HistogramVec
	age       *prometheus.HistogramVec
}

// NewMetrics makes the metrics and registers them; nil registers them nowhere.
func NewMetrics(r prometheus.Registerer) *Metrics {
	f := promauto.With(r)
	return &Metrics{
		delivered: f.NewCounterVec(prometheus.CounterOpts{
			Name: "kiosk_outbox_deliveries_total", Help: "Messages that came to their end, by how.",
		}, []string{"kind", "outcome"}),
		send: f.NewHistogramVec(prometheus.HistogramOpts{
			Name: "kiosk_outbox_attempt_duration_seconds", Help: "Duration of one attempt to send a message; postponed is tried again.",
			Buckets: []float64{.05, .1, .25, .5, 1, 2.5, 5, 15, 60, 120},
		}, []string{"kind", "outcome"}),
		age: f.NewHistogramVec(prometheus.HistogramOpts{
			Name: "kiosk_outbox_delivery_age_seconds", Help: "From the commit that decided on a message to Telegram's confirmation.",
			Buckets: []float64{.05, .1, .25, .5, 1, 2.5, 5, 15, 60, 300, 1800},
		}, []string{"kind"}),
	}
}

// attempted records an attempt; end is "" when the message is tried again.
func (m *Metrics) attempted(msg Message, end State, took time.Duration) {
	outcome := string(end)
	if end == "" {
		outcome = "postponed"
	}
	m.send.WithLabelValues(msg.Kind, outcome).Observe(took.Seconds())
	if end != "" {
		m.ended(msg, end)
	}
	if end == Sent {
		m.age.WithLabelValues(msg.Kind).Observe((msg.waited + took).Seconds())
	}
}

func (m *Metrics) ended(msg Message, end State) {
	m.delivered.WithLabelValues(msg.Kind, string(end)).Inc()
}
