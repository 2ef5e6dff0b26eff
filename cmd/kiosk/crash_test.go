package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"kiosk/internal/app/apptest/wire"
)

const (
	crowd    = 8  // scenarios at once: they wait more than they compute
	fewest   = 50 // points: the routes had more when this was written
	missable = 20 // one scenario in so many may miss its point: two workers may swap
)

// route is one way through the program, chosen by what the person asks for.
type route struct {
	name, prompt string
	buttons      []string          // that lead to the model, the last one first
	settings     map[string]string // beside the usual ones
	from         string            // where it parts from the first one, by a label
	end          end               // without a crash
	film         bool              // the result is no picture
	sampled      bool              // every other point, on sides in turn: the first route has tried the same steps
}

func routes() []route {
	picture := []string{"Z-Image", "Pictures"}
	return []route{
		{name: "delivery", prompt: "a lighthouse at dawn", buttons: picture, end: delivered},
		{name: "refusal by the model", prompt: "a nude statue", buttons: picture, from: "callback kie", end: released},
		{name: "video", prompt: "a wave", buttons: []string{"Seedance", "Video"}, from: "kie createTask", end: delivered, film: true, sampled: true},
		{name: "polling", prompt: "a harbour", buttons: picture, settings: map[string]string{"BOT_MODE": "polling"}, end: delivered, sampled: true},
	}
}

// plan is what to try at the points of a route.
func (r route) plan(points []wire.Point) (plan []scenario) {
	for i, p := range points {
		for side, s := range []wire.Side{wire.Before, wire.After} {
			if !r.sampled || i%4 == 2*side {
				plan = append(plan, scenario{route: r, trap: wire.Trap{Point: p, Side: s}})
			}
		}
	}
	return plan
}

// recoveries crashes a second time, at points that the next process passes while
// it goes on after a crash right after a call.
func recoveries(t *testing.T, r route, points []wire.Point) (plan []scenario) {
	for _, p := range points {
		if p.Nth > 1 || !strings.HasPrefix(p.Label, "kie ") && !strings.HasPrefix(p.Label, "telegram send") {
			continue
		}
		first := scenario{route: r, trap: wire.Trap{Point: p, Side: wire.After}}
		for i, q := range survey(t, first) {
			if i%6 == 0 { // some, and the sides in turn: the steps are those of the first route
				side := []wire.Side{wire.Before, wire.After}[i/6%2]
				plan = append(plan, scenario{route: r, trap: first.trap, second: wire.Trap{Point: q, Side: side}})
			}
		}
	}
	return plan
}

// The program is killed before and after every point of its routes: each commit,
// each call that it makes and each answer that it gives. With the next process
// and a person who tries again all comes to one of three ends: the result is
// there once, or the button that offers it brings it, or the order failed and
// nothing was charged. Nothing is paid for twice, and nothing is left over.
//
// The points are those that a run without a crash passes.
func TestCrash_EveryPointEndsWell(t *testing.T) {
	began := time.Now()
	var plan []scenario
	points := 0
	for _, r := range routes() {
		passed := survey(t, scenario{route: r})
		points += len(passed)
		t.Logf("route %q: %d points", r.name, len(passed))
		plan = append(plan, r.plan(passed)...)
		if r.name == "delivery" && !testing.Short() {
			again := recoveries(t, r, passed)
			t.Logf("recovery: %d second crashes", len(again))
			plan = append(plan, again...)
		}
	}
	if points < fewest {
		t.Fatalf("only %d points were found; do the proxies still see the routes?", points)
	}
	if testing.Short() {
		plan = everyThird(plan)
	}
	ends := runAll(t, plan)
	t.Logf("crash points: %d, scenarios: %d in %.0f s\n%s", points, len(plan), time.Since(began).Seconds(), ends)
	if missed := len(ends[missed]); missed*missable > len(plan) {
		t.Errorf("%d of %d scenarios missed their point", missed, len(plan))
	}
}

// survey runs a route without a crash, or with the first of two, and returns the
// points that the last process passes.
func survey(t *testing.T, s scenario) (points []wire.Point) {
	r := s.route
	t.Run("survey of "+s.name(), func(t *testing.T) {
		var got end
		if got, points = s.run(t); s.trap.Side == "" && got != r.end {
			t.Fatalf("the route ended as %q, want %q", got, r.end)
		}
	})
	if s.trap.Side != "" {
		return points
	}
	parts := slices.IndexFunc(points, func(p wire.Point) bool { return r.from == "" || p.Label == r.from })
	if parts < 0 {
		t.Fatalf("the route %q has no point %q: %v", r.name, r.from, points)
	}
	return points[parts:]
}

func everyThird(plan []scenario) (some []scenario) {
	for i := 0; i < len(plan); i += 3 {
		some = append(some, plan[i])
	}
	return some
}

// tally holds the names of the scenarios by their end.
type tally map[end][]string

// String counts the ends, and names the scenarios of the rare ones.
func (ends tally) String() string {
	var b strings.Builder
	for _, e := range slices.Sorted(maps.Keys(ends)) {
		fmt.Fprintf(&b, "%4d %s\n", len(ends[e]), e)
		if e == delivered {
			continue
		}
		for _, name := range ends[e] {
			fmt.Fprintf(&b, "       %s\n", name)
		}
	}
	return b.String()
}

// runAll runs the scenarios, some at a time, and counts how they ended.
func runAll(t *testing.T, plan []scenario) tally {
	ends := tally{}
	var mu sync.Mutex
	var workers sync.WaitGroup
	next := make(chan scenario)
	for range crowd {
		workers.Go(func() {
			for s := range next {
				got := skipped
				t.Run(s.name(), func(t *testing.T) {
					got = torn // unless it comes to an end
					got, _ = s.run(t)
				})
				mu.Lock()
				ends[got] = append(ends[got], s.name())
				mu.Unlock()
			}
		})
	}
	for _, s := range plan {
		next <- s
	}
	close(next)
	workers.Wait()
	return ends
}
