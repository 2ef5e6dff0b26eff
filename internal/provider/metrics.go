package provider

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// Metrics measure the calls of all providers' clients.
type Metrics struct {
	requests *prometheus.HistogramVec
	errors   *prometheus.CounterVec
	credits  *prometheus.GaugeVec
}

// NewMetrics makes the metrics and registers them; nil registers them nowhere.
func NewMetrics(r prometheus.Registerer) *Metrics {
	f := promauto.With(r)
	return &Metrics{
		requests: f.NewHistogramVec(prometheus.HistogramOpts{
			Name: "kiosk_provider_request_duration_seconds", Help: "Duration of calls to a provider, without the wait for our own rate limit; code is the provider's, 0 when it said nothing.",
			Buckets: []float64{.05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 120},
		}, []string{"provider", "op", "code"}),
		errors: f.NewCounterVec(prometheus.CounterOpts{
			Name: "kiosk_provider_errors_total", Help: "Failed calls to a provider, by cause.",
		}, []string{"provider", "cause"}),
		credits: f.NewGaugeVec(prometheus.GaugeOpts{
			Name: "kiosk_provider_credits", Help: "What is left of the operator's credits, as last read.",
		}, []string{"provider"}),
	}
}

// ForgetCredits drops what was read: this instance asks no more.
func (m *Metrics) ForgetCredits() { m.credits.Reset() }

// Causes lists all causes.
func Causes() []Cause {
	return []Cause{Moderation, BadInput, NoCredits, BadKey, RateLimited, Maintenance, Disabled, Broken, NotFound, Unreachable, NoAnswer}
}

// Of returns the recorder of one provider. Its counters are visible from the
// start: what appears with its first event has no increase that an alert could see.
func (m *Metrics) Of(provider string) Recorder {
	for _, c := range Causes() {
		m.errors.WithLabelValues(provider, string(c))
	}
	return Recorder{m, provider}
}

// Recorder records the calls of one provider.
type Recorder struct {
	metrics  *Metrics
	provider string
}

// Called records a call that began at start. A success counts as code 200.
func (r Recorder) Called(op string, start time.Time, err error) {
	code := 200
	if err != nil {
		e := AsError(err)
		code = e.Code
		r.metrics.errors.WithLabelValues(r.provider, string(e.Cause)).Inc()
	}
	r.metrics.requests.WithLabelValues(r.provider, op, strconv.Itoa(code)).Observe(time.Since(start).Seconds())
}

// Credits records what is left.
func (r Recorder) Credits(left float64) { r.metrics.credits.WithLabelValues(r.provider).Set(left) }
