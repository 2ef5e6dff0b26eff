package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/jackc/pgx/v5"

	"kiosk/bench/internal/rig"
)

// report is what --json writes.
type report struct {
	Machine rig.Machine `json:"machine"`
	Seconds float64     `json:"seconds"`
	Results []result    `json:"results"`
	Mutants []mutation  `json:"mutants,omitempty"`
}

// describe starts the common server and says where the figures come from.
func describe(ctx context.Context, s *servers) (rig.Machine, error) {
	srv, err := s.shared(ctx)
	if err != nil {
		return rig.Machine{}, err
	}
	conn, err := pgx.Connect(ctx, srv.url("postgres"))
	if err != nil {
		return rig.Machine{}, err
	}
	defer conn.Close(ctx)
	return rig.Inspect(ctx, conn, srv.dir)
}

// load is the machine's load of the last minute, 0 where that is not told.
func load() (l float64) {
	text, err := os.ReadFile("/proc/loadavg")
	if err == nil {
		_, _ = fmt.Sscan(string(text), &l) // the kernel writes a number
	}
	return l
}

// count writes killed and total of the mutants beside every line.
func (r *report) count() {
	for i := range r.Results {
		killed, total := 0, 0
		for _, m := range r.Mutants {
			if m.Scenario == r.Results[i].Name && !m.Control {
				total++
				if m.Killed {
					killed++
				}
			}
		}
		r.Results[i].Mutants = "not run"
		if total > 0 || r.Mutants != nil {
			r.Results[i].Mutants = fmt.Sprintf("%d/%d", killed, total)
		}
	}
}

func (r *report) green() bool {
	for _, l := range r.Results {
		if !l.Pass && l.Skipped == "" {
			return false
		}
	}
	for _, m := range r.Mutants {
		if !m.Killed {
			return false
		}
	}
	return true
}

func (r result) outcome() string {
	switch {
	case r.Skipped != "":
		return "not run"
	case r.Pass:
		return "pass"
	}
	return "FAIL"
}

// line is printed when a scenario is over.
func (r result) line() string {
	var s strings.Builder
	fmt.Fprintf(&s, "%-7s %-26s n=%d p50 %.1f p99 %.1f max %.1f ms, %d violations, %.0f s", r.outcome(), r.Name, r.Rounds, r.P50, r.P99, r.Max,
		r.Violations, r.Seconds)
	for _, more := range append(append([]string{r.Skipped}, r.Failures...), r.Notes...) {
		if more != "" {
			s.WriteString("\n        " + strings.ReplaceAll(more, "\n", "\n        "))
		}
	}
	return s.String()
}

func (r *report) show(out io.Writer) error {
	rows := [][]string{{"scenario", "figure", "n", "p50 ms", "p99 ms", "max ms", "violations", "mutants killed", "wanted", ""}}
	var sum verdict
	for _, l := range r.Results {
		sum.add(l.Verdict)
		number := func(f float64) string { return fmt.Sprintf("%.1f", f) }
		rows = append(rows, []string{
			l.Name, l.Figure, fmt.Sprint(l.Rounds), number(l.P50), number(l.P99), number(l.Max),
			fmt.Sprint(l.Violations), l.Mutants, l.Wanted, l.outcome(),
		})
	}
	fmt.Fprintln(out)
	if err := rig.Table(out, rows); err != nil {
		return err
	}
	fmt.Fprintf(out, "\n%d terms, %d fenced commits, %d steps outside the database: %d stale commits, %d wrong answers, %d overlaps, "+
		"%d late steps, %d histories that fit no order; residual %d. %.0f s, load %.1f.\n",
		sum.Terms, sum.Commits, sum.Steps, sum.Stale, sum.Lost, sum.Overlaps, sum.Late, sum.Illegal, sum.Residual, r.Seconds, load())
	return r.showMutants(out)
}

func (r *report) showMutants(out io.Writer) error {
	if r.Mutants == nil {
		fmt.Fprintln(out, "Mutants were not run (--mutants): without them a 0 says little.")
		return nil
	}
	killed, total := 0, 0
	rows := [][]string{{"mutant", "scenario", "red", "noticed by"}}
	for _, m := range r.Mutants {
		if !m.Control {
			total++
		}
		if !m.Control && m.Killed {
			killed++
		}
		rows = append(rows, []string{m.Name, m.Scenario, fmt.Sprintf("%d of %d", m.Red, m.Runs), m.Noticed})
	}
	fmt.Fprintf(out, "\nMutants killed: %d of %d. A control is the program as it is and must stay green.\n", killed, total)
	return rig.Table(out, rows)
}
