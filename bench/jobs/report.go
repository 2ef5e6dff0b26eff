package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"kiosk/bench/internal/rig"
)

// report is what --json writes.
type report struct {
	Machine rig.Machine `json:"machine"`
	Results []result    `json:"results"`
}

// result is one variant over all rounds. Ratios are to the due_at column.
type result struct {
	Name    string      `json:"name"`
	Rate    rig.Summary `json:"orders_per_second"`
	RateX   rig.Summary `json:"orders_per_second_ratio"`
	WAL     rig.Summary `json:"wal_bytes_per_order"`
	WALX    rig.Summary `json:"wal_bytes_per_order_ratio"`
	CPU     rig.Summary `json:"cpu_us_per_order"` // of program and server; 0: unknown
	CPUX    rig.Summary `json:"cpu_us_per_order_ratio"`
	Rows    rig.Summary `json:"rows_written_per_order"`
	Size    rig.Summary `json:"table_bytes_per_order"`
	Commits rig.Summary `json:"transactions_per_order"` // with those that only read

	WakeP50 rig.Summary `json:"wake_p50_ms"` // of each round
	WakeX   rig.Summary `json:"wake_p50_ratio"`
	AllP50  float64     `json:"wake_all_p50_ms"` // of all rounds together
	AllP99  float64     `json:"wake_all_p99_ms"`
	Late    rig.Summary `json:"late_ms"` // of all orders looked at again
}

// series is one variant's figures, round by round.
type series struct {
	rate, wal, cpu, rows, size, commits, wake []float64
	waits                                     []time.Duration
	late                                      []float64
}

func (s *series) add(l load, waits, late []time.Duration, orders int) {
	per := func(total int64) float64 { return float64(total) / float64(orders+1) } // one warmed up
	s.rate = append(s.rate, l.rate)
	s.wal = append(s.wal, per(l.cost.WAL))
	s.cpu = append(s.cpu, rig.Micros(l.cpu, orders))
	s.rows = append(s.rows, per(l.cost.Rows))
	s.size = append(s.size, per(l.cost.Size))
	s.commits = append(s.commits, per(l.cost.Commits))
	s.wake = append(s.wake, rig.Milliseconds(rig.Percentile(waits, 0.5)))
	s.waits = append(s.waits, waits...)
	for _, d := range late {
		s.late = append(s.late, rig.Milliseconds(d))
	}
}

// measure warms up and runs the rounds. Each begins with another variant.
func (l *lab) measure(ctx context.Context) ([]result, error) {
	all := variants()
	for _, v := range all {
		if _, err := l.throughput(ctx, v, l.orders/10); err != nil {
			return nil, fmt.Errorf("warm up %s: %w", v.name, err)
		}
	}
	figures := make([]series, len(all))
	for round := range l.rounds {
		for i := range all {
			k := (i + round) % len(all)
			if err := l.round(ctx, all[k], &figures[k]); err != nil {
				return nil, fmt.Errorf("%s: %w", all[k].name, err)
			}
		}
	}
	return summarise(all, figures), nil
}

func (l *lab) round(ctx context.Context, v variant, s *series) error {
	many, err := l.throughput(ctx, v, l.orders)
	if err != nil {
		return fmt.Errorf("many orders: %w", err)
	}
	waits, err := l.wake(ctx, v, l.singles)
	if err != nil {
		return fmt.Errorf("single orders: %w", err)
	}
	late, err := l.lookAgain(ctx, v, l.again)
	if err != nil {
		return fmt.Errorf("orders to look at again: %w", err)
	}
	s.add(many, waits, late, l.orders)
	return nil
}

func summarise(all []variant, figures []series) []result {
	base := figures[0]
	results := make([]result, 0, len(all))
	for i, v := range all {
		f := figures[i]
		results = append(results, result{
			Name: v.name,
			Rate: rig.Summarise(f.rate), RateX: rig.Summarise(rig.Ratios(f.rate, base.rate)),
			WAL: rig.Summarise(f.wal), WALX: rig.Summarise(rig.Ratios(f.wal, base.wal)),
			CPU: rig.Summarise(f.cpu), CPUX: rig.Summarise(rig.Ratios(f.cpu, base.cpu)),
			Rows: rig.Summarise(f.rows), Size: rig.Summarise(f.size), Commits: rig.Summarise(f.commits),
			WakeP50: rig.Summarise(f.wake), WakeX: rig.Summarise(rig.Ratios(f.wake, base.wake)),
			AllP50: rig.Milliseconds(rig.Percentile(f.waits, 0.5)),
			AllP99: rig.Milliseconds(rig.Percentile(f.waits, 0.99)),
			Late:   rig.Summarise(f.late),
		})
	}
	return results
}

func show(out io.Writer, s settings, results []result) error {
	fmt.Fprintf(out, "\nMany orders: %d by %d producers, %d workers, %d connections.\n", s.orders, s.producers, s.workers, s.conns)
	fmt.Fprintf(out, "Median (min-max) of %d rounds; x is the ratio to the first line, round by round.\n\n", s.rounds)
	if err := rig.Table(out, manyOrders(results)); err != nil {
		return err
	}
	fmt.Fprintf(out, "\nSingle orders on an idle machine: %d of each to be woken for, %d to be looked at again after %s.\n\n",
		s.rounds*s.singles, s.rounds*s.again, pollAgain)
	return rig.Table(out, singleOrders(results))
}

func manyOrders(results []result) [][]string {
	rows := [][]string{{
		"", "orders/s", "x", "CPU us/order", "x", "WAL bytes/order", "x",
		"rows written/order", "table bytes/order", "transactions/order",
	}}
	for _, r := range results {
		rows = append(rows, []string{
			r.Name, r.Rate.Format(0), r.RateX.Format(2), r.CPU.Format(0), r.CPUX.Format(2), r.WAL.Format(0), r.WALX.Format(2),
			r.Rows.Format(1), r.Size.Format(0), r.Commits.Format(1),
		})
	}
	return rows
}

func singleOrders(results []result) [][]string {
	rows := [][]string{{"", "wake p50 of a round, ms", "x", "wake p50, ms", "wake p99, ms", "looked at again late, ms"}}
	for _, r := range results {
		rows = append(rows, []string{
			r.Name, r.WakeP50.Format(2), r.WakeX.Format(1),
			fmt.Sprintf("%.2f", r.AllP50), fmt.Sprintf("%.2f", r.AllP99), r.Late.Format(0),
		})
	}
	return rows
}
