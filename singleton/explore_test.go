package singleton_test

import (
	"fmt"
	"strings"
	"testing"
)

// A step is one thing that can happen in a model.
type step[S comparable] struct {
	name  label
	to    S
	bad   string // the rule that it breaks, "" for none
	fault bool   // may happen, and nobody may count on it
}

// A label names a step. It becomes text only in the story of a counter-example:
// most steps lead to what is known.
type label struct {
	who    byte
	format string
	number uint8 // for a %d in the format
}

func (l label) String() string {
	text := l.format
	if strings.Contains(text, "%d") {
		text = fmt.Sprintf(text, l.number)
	}
	return strings.TrimSpace(string(rune(l.who)) + " " + text)
}

// A space is everything that can be reached from a start.
type space[S comparable] struct {
	states []S
	from   []int32 // the state before, on a shortest path from the start
	by     []label // the step from there
	edges  [][2]int32
	broken string // the rule that was broken first, "" for none
	trace  []label
}

// explore visits every reachable state, nearest first, until a rule is broken:
// so a counter-example is a shortest one.
func explore[S comparable](start S, steps func(S) []step[S]) *space[S] {
	s := &space[S]{states: []S{start}, from: []int32{-1}, by: []label{{}}}
	known := map[S]int32{start: 0}
	for at := int32(0); int(at) < len(s.states); at++ {
		for _, next := range steps(s.states[at]) {
			if next.bad != "" {
				s.broken, s.trace = next.bad, append(s.path(at), next.name)
				return s
			}
			to, seen := known[next.to]
			if !seen {
				to = int32(len(s.states))
				known[next.to] = to
				s.states, s.from, s.by = append(s.states, next.to), append(s.from, at), append(s.by, next.name)
			}
			if !next.fault {
				s.edges = append(s.edges, [2]int32{at, to})
			}
		}
	}
	return s
}

func (s *space[S]) path(to int32) []label {
	if s.from[to] < 0 {
		return nil
	}
	return append(s.path(s.from[to]), s.by[to])
}

// stuck looks for a state of those that ought to, from which no goal can be
// reached without a fault. It notes the shortest way into one.
func (s *space[S]) stuck(rule string, ought, goal func(S) bool) {
	before := make([][]int32, len(s.states))
	for _, e := range s.edges {
		before[e[1]] = append(before[e[1]], e[0])
	}
	reaches := make([]bool, len(s.states))
	var queue []int32
	for i, state := range s.states {
		if goal(state) {
			reaches[i], queue = true, append(queue, int32(i))
		}
	}
	for ; len(queue) > 0; queue = queue[1:] {
		for _, i := range before[queue[0]] {
			if !reaches[i] {
				reaches[i], queue = true, append(queue, i)
			}
		}
	}
	for i, state := range s.states {
		if !reaches[i] && ought(state) {
			s.broken, s.trace = rule, s.path(int32(i))
			return
		}
	}
}

// holds fails the test if a rule was broken.
func (s *space[S]) holds(t *testing.T) {
	t.Helper()
	if s.broken != "" {
		t.Fatalf("%s, after %d steps:\n%s", s.broken, len(s.trace), s.story())
	}
	t.Logf("%d states, %d steps between them; no rule is broken", len(s.states), len(s.edges))
}

// breaks fails the test unless exactly this rule was broken.
func (s *space[S]) breaks(t *testing.T, rule string) {
	t.Helper()
	if s.broken != rule {
		t.Fatalf("%q is broken, want %q; %d states\n%s", s.broken, rule, len(s.states), s.story())
	}
	t.Logf("%s, after %d steps (%d states seen):\n%s", s.broken, len(s.trace), len(s.states), s.story())
}

func (s *space[S]) story() string {
	var b strings.Builder
	for i, name := range s.trace {
		fmt.Fprintf(&b, "%4d  %s\n", i+1, name)
	}
	return b.String()
}
