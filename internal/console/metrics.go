package console

import (
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"kiosk/singleton"
)

// Metrics measure what comes in over HTTP, and how the lock moves.
type Metrics struct {
	requests    *prometheus.HistogramVec
	inFlight    prometheus.Gauge
	transitions *prometheus.CounterVec
	beats       prometheus.Histogram
	waits       prometheus.Histogram
	losses      *prometheus.CounterVec
}

// NewMetrics makes the metrics and registers them; nil registers them nowhere.
func NewMetrics(r prometheus.Registerer) *Metrics {
	f := promauto.With(r)
	return &Metrics{
		requests: f.NewHistogramVec(prometheus.HistogramOpts{
			Name: "kiosk_http_request_duration_seconds", Help: "Duration of HTTP requests by route pattern; none: no such page.",
			Buckets: []float64{.001, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
		}, []string{"route", "method", "code"}),
		inFlight: f.NewGauge(prometheus.GaugeOpts{
			Name: "kiosk_http_requests_in_flight", Help: "HTTP requests that are being answered.",
		}),
		transitions: f.NewCounterVec(prometheus.CounterOpts{
			Name: "kiosk_singleton_transitions_total", Help: "States of the lock that this instance came to.",
		}, []string{"state"}),
		beats: f.NewHistogram(prometheus.HistogramOpts{
			Name: "kiosk_singleton_heartbeat_duration_seconds", Help: "Round trips of this instance's heartbeats.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5},
		}),
		waits: f.NewHistogram(prometheus.HistogramOpts{
			Name: "kiosk_singleton_acquire_duration_seconds", Help: "How long this instance waited for the lock that it then got.",
			Buckets: []float64{.01, .1, 1, 10, 60, 600, 3600, 86400},
		}),
		losses: f.NewCounterVec(prometheus.CounterOpts{
			Name: "kiosk_singleton_lost_total", Help: "Terms that this instance lost, by reason.",
		}, []string{"reason"}),
	}
}

// Observe records what the lock tells of itself.
func (m *Metrics) Observe(o singleton.Observation) {
	if o.State != "" {
		m.transitions.WithLabelValues(string(o.State)).Inc()
	}
	if o.State == singleton.Warming {
		m.waits.Observe(o.Wait.Seconds())
	}
	if o.Beat > 0 {
		m.beats.Observe(o.Beat.Seconds())
	}
	if o.Lost != nil {
		m.losses.WithLabelValues(lossReason(o.Lost)).Inc()
	}
}

func lossReason(err error) string {
	switch {
	case errors.Is(err, singleton.ErrFenced):
		return "fenced"
	case errors.Is(err, singleton.ErrIdle):
		return "idle"
	}
	return "lost"
}

// Measured records every request that the mux answers.
func (m *Metrics) Measured(mux *http.ServeMux) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		m.inFlight.Inc()
		defer m.inFlight.Dec()
		start := time.Now()
		answered := &answered{ResponseWriter: w, code: http.StatusOK}
		mux.ServeHTTP(answered, r)
		m.requests.WithLabelValues(routeLabel(r.Pattern), methodLabel(r.Method), strconv.Itoa(answered.code)).Observe(time.Since(start).Seconds())
	})
}

// routeLabel is the path of the pattern that the mux has found, never the path
// itself, which strangers choose.
func routeLabel(pattern string) string {
	if pattern == "" {
		return "none"
	}
	if _, path, ok := strings.Cut(pattern, " "); ok {
		return path
	}
	return pattern
}

// methodLabel keeps strangers from inventing label values.
func methodLabel(method string) string {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPost:
		return method
	}
	return "other"
}

// answered remembers the status code of an answer.
type answered struct {
	http.ResponseWriter
	code int
}

// WriteHeader remembers the code.
func (a *answered) WriteHeader(code int) {
	a.code = code
	a.ResponseWriter.WriteHeader(code)
}

// Unwrap gives http.ResponseController the writer beneath.
func (a *answered) Unwrap() http.ResponseWriter { return a.ResponseWriter }
