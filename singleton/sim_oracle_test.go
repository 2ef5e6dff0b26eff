package singleton

import (
	"fmt"
	"sync"
	"time"
)

// oracle watches a simulated world from outside, where one clock is true.
type oracle struct {
	start time.Time

	mu         sync.Mutex
	numbers    map[string]int64 // of terms, in the order in which they truly began
	terms      map[string]*Term // as their holders have them
	lost       map[int64]bool   // terms that a failover forgot, and with them what they had claimed
	safe       int64            // the newest term that was told that nobody of before acts
	underway   map[*act]bool
	violations []string
	story      []string // faults and what they led to
	counts
}

// counts say how much a run has tried.
type counts struct {
	Seeds, Faults, Terms, Commits, Acts, Takeovers, Exits int
	Residual                                              int // acts of a process that was frozen in the middle of them
	Lost                                                  int // acts of a term that a failover had forgotten
	Damped                                                int // runs whose budget of takeovers was used up
	Recovery, Stop                                        time.Duration
}

type act struct {
	term    int64
	excused func() bool // its process was frozen in the middle of it, or died
}

func newOracle() *oracle {
	return &oracle{start: time.Now(), numbers: map[string]int64{}, terms: map[string]*Term{}, lost: map[int64]bool{}, underway: map[*act]bool{}}
}

func (o *oracle) violatedf(format string, args ...any) {
	o.violations = append(o.violations, o.at(format, args...))
}

func (o *oracle) at(format string, args ...any) string {
	return fmt.Sprintf("%10s  ", time.Since(o.start).Round(time.Millisecond)) + fmt.Sprintf(format, args...)
}

// tell adds to the story.
func (o *oracle) tellf(format string, args ...any) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.story = append(o.story, o.at(format, args...))
}

func (o *oracle) began(id string, number int64, holder string) {
	o.tellf("term %d begins: %s", number, holder)
	o.mu.Lock()
	defer o.mu.Unlock()
	o.numbers[id] = number
	o.Terms++
}

// knows keeps the holder's view of its term, once a heartbeat of it was acknowledged:
// nobody else sees a term before that.
func (o *oracle) knows(t *Term) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.terms[t.id] = t
}

// committed: no commit of a term after a newer one began.
func (o *oracle) committed(id string, newest int64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.Commits++
	if n := o.numbers[id]; n != newest {
		o.violatedf("term %d committed after term %d had begun", n, newest)
	}
}

// tookOver: nobody is replaced who trusts itself, or whose work does something.
func (o *oracle) tookOver(id string, m mark) {
	o.tellf("%s is taken over: %s", id, m.reason)
	o.mu.Lock()
	defer o.mu.Unlock()
	o.Takeovers++
	t := o.terms[id]
	switch {
	case t == nil || t.Check() != nil: // it never got so far, or knows that it is over
	case m.reason == reasonHeartbeat:
		o.violatedf("term %d was taken over for its heartbeat while it trusted itself for %s", o.numbers[id], t.remaining())
	case t.idle() < trust(simIdle):
		o.violatedf("term %d was taken over as idle after %s", o.numbers[id], t.idle())
	}
}

// forgot: what a term had claimed is not known to those who follow.
func (o *oracle) forgot(newest int64, id string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for n := newest; n > o.numbers[id]; n-- {
		o.lost[n] = true
	}
}

// settled: a term's barrier has passed. Nobody of before it may act from now on.
func (o *oracle) settled(t *Term) {
	o.mu.Lock()
	defer o.mu.Unlock()
	n := o.numbers[t.id]
	o.safe = max(o.safe, n)
	for a := range o.underway {
		if a.term < n {
			o.overlapf(a, "an act of term %d is under way though the barrier of term %d has passed", a.term, n)
		}
	}
}

func (o *oracle) overlapf(a *act, format string, args ...any) {
	switch {
	case o.lost[a.term]:
		o.Lost++
	case a.excused():
		o.Residual++
	default:
		o.violatedf(format, args...)
	}
}

// acts notes an act until done is called.
func (o *oracle) acts(t *Term, excused func() bool) (done func()) {
	o.mu.Lock()
	defer o.mu.Unlock()
	a := &act{o.numbers[t.id], excused}
	o.Acts++
	o.underway[a] = true
	if a.term < o.safe {
		o.overlapf(a, "term %d acts though the barrier of term %d has passed", a.term, o.safe)
	}
	return func() {
		o.mu.Lock()
		defer o.mu.Unlock()
		delete(o.underway, a)
	}
}

func (o *oracle) add(f func(*counts)) {
	o.mu.Lock()
	defer o.mu.Unlock()
	f(&o.counts)
}
