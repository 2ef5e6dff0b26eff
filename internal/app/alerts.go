package app

import (
	"context"
	"math"
	"slices"

	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"kiosk/internal/admin"
	"kiosk/internal/outbox"
	"kiosk/singleton"
)

// newAlerts makes the watch of one term. It reads what /metrics shows, so the
// chat and Prometheus speak of the same numbers.
func (a *App) newAlerts(term *singleton.Term, wake func()) (*admin.Alerts, error) {
	admins, err := a.cfg.Admins()
	if err != nil {
		return nil, err
	}
	return admin.New(admin.Deps{
		DB: a.pool, Instance: a.cfg.Instance, Epoch: term.Epoch(), Log: a.log, Pace: a.watch.Alerts,
		Samples: func() (admin.Samples, error) { return samples(a.metrics.registry) },
		InTx: func(ctx context.Context, fn func(pgx.Tx) error) error {
			err := term.InTx(ctx, a.pool, fn)
			wake()
			return err
		},
		Tell: func(ctx context.Context, tx pgx.Tx, n admin.Notice) error {
			for _, id := range admins {
				if err := outbox.Add(ctx, tx, outbox.Draft{ChatID: id, Kind: admin.KindAlert, Args: n}); err != nil {
					return err
				}
			}
			return nil
		},
	})
}

// samples reads all metrics once.
func samples(g prometheus.Gatherer) (admin.Samples, error) {
	list, err := g.Gather()
	if err != nil {
		return nil, err
	}
	families := map[string]*dto.MetricFamily{}
	for _, f := range list {
		families[f.GetName()] = f
	}
	return func(name, label string, values ...string) float64 {
		sum := math.NaN()
		for _, m := range families[name].GetMetric() {
			if label != "" && !labelled(m, label, values) {
				continue
			}
			if math.IsNaN(sum) {
				sum = 0
			}
			sum += number(m)
		}
		return sum
	}, nil
}

func labelled(m *dto.Metric, label string, values []string) bool {
	return slices.ContainsFunc(m.GetLabel(), func(l *dto.LabelPair) bool {
		return l.GetName() == label && slices.Contains(values, l.GetValue())
	})
}

// number is a metric's value; of a histogram, how often it was observed.
func number(m *dto.Metric) float64 {
	switch {
	case m.GetCounter() != nil:
		return m.GetCounter().GetValue()
	case m.GetHistogram() != nil:
		return float64(m.GetHistogram().GetSampleCount())
	}
	return m.GetGauge().GetValue()
}
