package inbox

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"kiosk/internal/lane"
)

// Metrics measure stations 1 and 2. One set serves all receivers and processors
// of a process.
type Metrics struct {
	Lane *lane.Metrics // of the lanes; nil: not measured

	received *prometheus.CounterVec
	ack      *prometheus.HistogramVec
	batch    prometheus.Histogram
	commit   *prometheus.HistogramVec
	polls    *prometheus.CounterVec
	handled  *prometheus.HistogramVec
	lag      *prometheus.HistogramVec
}

// What became of something that was sent to us.
const (
	resultStored       = "stored"
	resultUndecodable  = "undecodable" // stored for people only
	resultBusy         = "busy"        // not stored; its sender repeats it
	resultUnauthorized = "unauthorized"
	resultTooLarge     = "too_large"
	resultUnreadable   = "unreadable"
)

// NewMetrics makes the metrics and registers them; nil registers them nowhere.
func NewMetrics(r prometheus.Registerer) *Metrics {
	f := promauto.With(r)
	return &Metrics{
		received: f.NewCounterVec(prometheus.CounterOpts{
			Name: "kiosk_inbox_received_total", Help: "Messages that senders handed to us, by what became of them.",
		}, []string{"source", "result"}),
		ack: f.NewHistogramVec(prometheus.HistogramOpts{
			Name: "kiosk_inbox_ack_duration_seconds", Help: "From a message's arrival to its commit, for messages that were stored.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5},
		}, []string{"source"}),
		batch: f.NewHistogram(prometheus.HistogramOpts{
			Name: "kiosk_inbox_commit_batch_messages", Help: "Messages that shared one commit.",
			Buckets: prometheus.ExponentialBuckets(1, 2, 9),
		}),
		commit: f.NewHistogramVec(prometheus.HistogramOpts{
			Name: "kiosk_inbox_commit_duration_seconds", Help: "Duration of the commits that store messages.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5},
		}, []string{"outcome"}),
		polls: f.NewCounterVec(prometheus.CounterOpts{
			Name: "kiosk_inbox_polls_total", Help: "Questions for new messages in polling mode.",
		}, []string{"outcome"}),
		handled: f.NewHistogramVec(prometheus.HistogramOpts{
			Name: "kiosk_inbox_handled_duration_seconds", Help: "Duration of one attempt to handle a message; failed is repeated, set_aside is given up, interrupted says nothing about the message.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 5},
		}, []string{"source", "outcome"}),
		lag: f.NewHistogramVec(prometheus.HistogramOpts{
			Name: "kiosk_inbox_lag_seconds", Help: "From a message's commit to the commit of its effects.",
			Buckets: []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300},
		}, []string{"source"}),
	}
}

// expect makes the counters of a source visible before the first message: what
// appears with its first event has no increase that an alert could see.
func (m *Metrics) expect(source string) {
	for _, result := range []string{resultStored, resultUndecodable, resultBusy, resultUnauthorized, resultTooLarge, resultUnreadable} {
		m.received.WithLabelValues(source, result)
	}
}

func (m *Metrics) count(source, result string) { m.received.WithLabelValues(source, result).Inc() }

// committed records one commit of n messages.
func (m *Metrics) committed(n int, start time.Time, err error) {
	outcome := "done"
	if err != nil {
		outcome = "failed"
	}
	m.batch.Observe(float64(n))
	m.commit.WithLabelValues(outcome).Observe(time.Since(start).Seconds())
}

// attempted records one attempt to handle a message.
func (m *Metrics) attempted(msg Message, start time.Time, outcome string) {
	took := time.Since(start)
	m.handled.WithLabelValues(msg.Source, outcome).Observe(took.Seconds())
	if outcome == handledDone {
		m.lag.WithLabelValues(msg.Source).Observe((msg.waited + took).Seconds())
	}
}

// The outcomes of an attempt.
const (
	handledDone        = "done"
	handledFailed      = "failed"
	handledSetAside    = "set_aside"
	handledInterrupted = "interrupted"
)
