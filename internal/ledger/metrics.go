package ledger

import (
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"kiosk/internal/fault"
)

// Metrics measure the movements of money. They count what was done in
// transactions of others, so one that was rolled back is counted, too; the books
// themselves are proved by Audit.
type Metrics struct {
	operations *prometheus.HistogramVec
}

// NewMetrics makes the metrics and registers them; nil registers them nowhere.
func NewMetrics(r prometheus.Registerer) *Metrics {
	return &Metrics{promauto.With(r).NewHistogramVec(prometheus.HistogramOpts{
		Name: "kiosk_ledger_transfer_duration_seconds", Help: "Duration of movements of money; repeated means that it had been done before.",
		Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .5, 1},
	}, []string{"kind", "outcome"})}
}

// moved records a movement that began at start.
func (m *Metrics) moved(kind string, start time.Time, done bool, err error) {
	outcome := "done"
	switch {
	case err != nil && fault.KindOf(err) == fault.Insufficient:
		outcome = "insufficient"
	case errors.Is(err, ErrKeyReused), errors.Is(err, ErrHoldOver), errors.Is(err, ErrNoHold), errors.Is(err, ErrTooMuch):
		outcome = "refused"
	case err != nil:
		outcome = "failed"
	case !done:
		outcome = "repeated"
	}
	m.operations.WithLabelValues(kind, outcome).Observe(time.Since(start).Seconds())
}
