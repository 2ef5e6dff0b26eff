package pg

import (
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
)

// PoolMetrics describes a pool to Prometheus. It reads counters in memory only.
type PoolMetrics struct {
	pool                                   *pgxpool.Pool
	conns, limit, acquires, waits, cancels *prometheus.Desc
}

var _ prometheus.Collector = (*PoolMetrics)(nil)

// NewPoolMetrics returns the collector of a pool.
func NewPoolMetrics(pool *pgxpool.Pool) *PoolMetrics {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("kiosk_pg_"+name, help, labels, nil)
	}
	return &PoolMetrics{
		pool:     pool,
		conns:    desc("pool_connections", "Connections of the pool.", "state"),
		limit:    desc("pool_connections_limit", "Most connections that the pool may open."),
		acquires: desc("pool_acquires_total", "Connections handed out; waited ones found none free.", "waited"),
		waits:    desc("pool_wait_seconds_total", "Time spent waiting for a free connection."),
		cancels:  desc("pool_canceled_acquires_total", "Waits that ended without a connection."),
	}
}

// Describe lists the metrics.
func (m *PoolMetrics) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{m.conns, m.limit, m.acquires, m.waits, m.cancels} {
		ch <- d
	}
}

// Collect reads the pool's counters.
func (m *PoolMetrics) Collect(ch chan<- prometheus.Metric) {
	s := m.pool.Stat()
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	counter := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, v, labels...)
	}
	gauge(m.conns, float64(s.AcquiredConns()), "used")
	gauge(m.conns, float64(s.IdleConns()), "idle")
	gauge(m.conns, float64(s.ConstructingConns()), "opening")
	gauge(m.limit, float64(s.MaxConns()))
	waited := s.EmptyAcquireCount()
	counter(m.acquires, float64(waited), "yes")
	counter(m.acquires, float64(max(s.AcquireCount()-waited, 0)), "no")
	counter(m.waits, s.EmptyAcquireWaitTime().Seconds())
	counter(m.cancels, float64(s.CanceledAcquireCount()))
}
