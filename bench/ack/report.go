package main

import (
	"fmt"
	"io"

	"kiosk/bench/internal/rig"
)

// report is what --json writes.
type report struct {
	Machine rig.Machine `json:"machine"`
	Results []result    `json:"results"`
}

// result is one way over all rounds. Ratios are to one insert per request.
type result struct {
	Name    string      `json:"name"`
	Rate    rig.Summary `json:"requests_per_second"`
	RateX   rig.Summary `json:"requests_per_second_ratio"`
	P50     rig.Summary `json:"p50_ms"`
	P99     rig.Summary `json:"p99_ms"`
	CPU     rig.Summary `json:"cpu_us_per_request"` // of program, sender and server; 0: unknown
	CPUX    rig.Summary `json:"cpu_us_per_request_ratio"`
	Commits rig.Summary `json:"commits_per_request"`
	WAL     rig.Summary `json:"wal_bytes_per_request"`
}

// series is one way's figures, round by round.
type series struct{ rate, p50, p99, cpu, commits, wal []float64 }

func (s *series) add(r shift) {
	s.rate = append(s.rate, float64(len(r.waits))/r.took.Seconds())
	s.p50 = append(s.p50, rig.Milliseconds(rig.Percentile(r.waits, 0.5)))
	s.p99 = append(s.p99, rig.Milliseconds(rig.Percentile(r.waits, 0.99)))
	s.cpu = append(s.cpu, rig.Micros(r.cpu, len(r.waits)))
	s.commits = append(s.commits, float64(r.commits)/float64(r.requests))
	s.wal = append(s.wal, float64(r.cost.WAL)/float64(r.requests))
}

func summarise(all []way, figures []series) []result {
	base := figures[1]
	results := make([]result, 0, len(all))
	for i, w := range all {
		f := figures[i]
		results = append(results, result{
			Name: w.name,
			Rate: rig.Summarise(f.rate), RateX: rig.Summarise(rig.Ratios(f.rate, base.rate)),
			P50: rig.Summarise(f.p50), P99: rig.Summarise(f.p99),
			CPU: rig.Summarise(f.cpu), CPUX: rig.Summarise(rig.Ratios(f.cpu, base.cpu)),
			Commits: rig.Summarise(f.commits), WAL: rig.Summarise(f.wal),
		})
	}
	return results
}

func show(out io.Writer, s settings, results []result) error {
	fmt.Fprintf(out, "\n%d keep-alive connections, updates of %d bytes, %d database connections.\n", s.senders, len(updateText), s.conns)
	fmt.Fprintf(out, "Median (min-max) of %d rounds of %s; x is the ratio to one insert per request, round by round.\n\n", s.rounds, s.time)
	rows := [][]string{{"", "requests/s", "x", "p50 ms", "p99 ms", "CPU us/request", "x", "commits/request", "WAL bytes/request"}}
	for _, r := range results {
		rows = append(rows, []string{
			r.Name, r.Rate.Format(0), r.RateX.Format(2), r.P50.Format(2), r.P99.Format(2),
			r.CPU.Format(0), r.CPUX.Format(2),
			r.Commits.Format(3), r.WAL.Format(0),
		})
	}
	return rig.Table(out, rows)
}
