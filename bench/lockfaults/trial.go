package main

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"sync"
	"time"

	"kiosk/bench/internal/rig"
)

// scenario is one line of the table.
type scenario struct {
	name   string
	figure string // what the times are
	wanted string
	times  int // rounds of the whole table
	short  int // rounds of the short form; 0: not in it
	limit  limit
	alone  bool // timing is measured in milliseconds: nothing else runs meanwhile
	run    func(ctx context.Context, t *trial) error
}

// limit is what the times must keep; 0 is no limit.
type limit struct{ p50, p99, max time.Duration }

// result is a line as it is printed and stored.
type result struct {
	Name       string   `json:"scenario"`
	Figure     string   `json:"figure"`
	Rounds     int      `json:"n"`
	P50        float64  `json:"p50_ms"`
	P99        float64  `json:"p99_ms"`
	Max        float64  `json:"max_ms"`
	Violations int      `json:"violations"`
	Verdict    verdict  `json:"oracle"`
	Mutants    string   `json:"mutants"`
	Wanted     string   `json:"wanted"`
	Pass       bool     `json:"pass"`
	Skipped    string   `json:"skipped,omitempty"`
	Failures   []string `json:"failures,omitempty"`
	Notes      []string `json:"notes,omitempty"`
	Seconds    float64  `json:"seconds"`
	Load       float64  `json:"load"` // of the machine, when it ended
}

// trial is a scenario being run.
type trial struct {
	scenario
	n       int
	short   bool
	servers *servers

	mu       sync.Mutex
	times    []time.Duration
	phases   phases
	failures []string
	notes    []string
	skipped  string
	verdict  verdict
}

func (t *trial) took(d time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.times = append(t.times, d)
}

// phases are the parts of a handover: until the grant, until the work begins, and
// until its first commit is answered.
type phases struct{ grant, work, commit []time.Duration }

// parts splits a handover that began at a time and led to a first commit.
func (t *trial) parts(ctx context.Context, a *arena, at int64, first event) error {
	past, err := a.history(ctx, 0)
	if err != nil {
		return err
	}
	term, err := a.await(ctx, "the term", 0, func(e *event) bool { return e.Kind == evTerm && e.Epoch == first.Epoch })
	if err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, h := range past {
		if h.kind == "acquired" && h.epoch == first.Epoch {
			t.phases.grant = append(t.phases.grant, time.Duration(h.at-at))
			t.phases.work = append(t.phases.work, time.Duration(term.At-h.at))
			t.phases.commit = append(t.phases.commit, time.Duration(first.At-term.At))
		}
	}
	return nil
}

func (t *trial) failf(format string, args ...any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.failures = append(t.failures, fmt.Sprintf(format, args...))
}

func (t *trial) notef(format string, args ...any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.notes = append(t.notes, fmt.Sprintf(format, args...))
}

// rounds repeats a round in one arena, and begins a new arena after a failure.
// All arenas are judged.
func (t *trial) rounds(ctx context.Context, s *server, pooler string, round func(ctx context.Context, a *arena) error) error {
	var a *arena
	defer func() { t.finish(ctx, a) }()
	for i := range t.n {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if a == nil {
			var err error
			if a, err = newArena(ctx, s, pooler); err != nil {
				return err
			}
		}
		if err := round(ctx, a); err != nil {
			t.failf("round %d: %s", i+1, err)
			t.explain(fmt.Sprintf("round %d: %s", i+1, err), a)
			t.finish(ctx, a)
			a = nil
			if len(t.failures) >= 5 {
				return nil // enough to see
			}
		}
	}
	return nil
}

// finish stops an arena and judges what happened in it.
func (t *trial) finish(ctx context.Context, a *arena) {
	if a == nil {
		return
	}
	a.stop()
	v, err := a.judge(context.WithoutCancel(ctx))
	a.close()
	if err != nil {
		t.failf("judge: %s", err)
	}
	if v.violations() > 0 {
		t.explain(v.First, a)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.verdict.add(v)
	t.verdict.Longest = max(t.verdict.Longest, v.Longest)
}

// explain prints what the workers logged last, if that is wanted.
func (t *trial) explain(what string, a *arena) {
	if verbose {
		fmt.Fprintf(os.Stderr, "%s: %s\n%s\n", t.name, what, a.log.tail())
	}
}

// result sums up.
func (t *trial) result(began time.Time) result {
	r := result{
		Name: t.name, Figure: t.figure, Rounds: len(t.times), Verdict: t.verdict, Violations: t.verdict.violations(),
		Wanted: t.wanted, Failures: t.failures, Notes: t.notes, Skipped: t.skipped,
		P50: rig.Milliseconds(rig.Percentile(t.times, 0.5)), P99: rig.Milliseconds(rig.Percentile(t.times, 0.99)),
		Max: rig.Milliseconds(rig.Percentile(t.times, 1)), Seconds: time.Since(began).Seconds(), Load: load(),
	}
	if p := t.phases; len(p.grant) > 0 {
		r.Notes = append(r.Notes, fmt.Sprintf("to the grant %s; from there to the work %s; its first commit %s", spread(p.grant), spread(p.work), spread(p.commit)))
	}
	if t.verdict.Residual > 0 {
		r.Notes = append(r.Notes, fmt.Sprintf("residual: %d steps of processes frozen after their Check reached into the next term's", t.verdict.Residual))
	}
	r.Pass = t.skipped == "" && len(t.failures) == 0 && r.Violations == 0 && t.verdict.Undecided == 0 && t.keeps(r) && len(t.times) > 0
	if first := cmp.Or(t.verdict.First); first != "" {
		r.Failures = append(r.Failures, first)
	}
	return r
}

func (t *trial) keeps(r result) bool {
	over := func(value float64, limit time.Duration) bool {
		return limit > 0 && value > rig.Milliseconds(limit)
	}
	return !over(r.P50, t.limit.p50) && !over(r.P99, t.limit.p99) && !over(r.Max, t.limit.max)
}
