package singleton_test

import (
	"fmt"
	"testing"
)

// This file is what time is for: effects outside the database, which no fence
// stops. A holds the lock and may act while it trusts itself; B follows, and
// repeats what A had claimed and not finished once its barrier has passed, or
// hands that over to C. Their clocks run at different rates, messages take any
// time, and A's session may end at any moment without A's knowledge. One tick is
// a tenth of the stale time.

// ticks is an age. Ages are capped where nothing depends on them any more.
type ticks uint8

const (
	staleTicks = 10
	oldest     = 14
)

const ruleOutside = "the former holder acted outside after its successor had repeated the act"

// timers are in percent of the stale time, and rates in percent of true time.
type timers struct {
	trust   int // A acts while its last acknowledged heartbeat, when sent, is younger
	grace   int // and what it has begun by then may go on for this long
	stale   int // B takes over what it has seen unchanged for as long
	barrier int // B waits so long after the last sign of A before it repeats an act
	rateA   int
	rateB   int

	fromReply bool // mutant: A counts from the reply instead of the sending
	noRecheck bool // mutant: a takeover does not look whether A has beaten since
	forgetful bool // mutant: a clean end of B makes C forget that A's end was not
	fromGrant bool // B's barrier counts from the grant, not from the last sign of A: longer, no less safe
}

// productTimers are the ones that CheckTimers vouches for.
func productTimers() timers {
	return timers{trust: 60, grace: 30, stale: 100, barrier: 100, rateA: 100, rateB: 100}
}

// message is the one heartbeat that may be under way.
type message uint8

const (
	none    message = iota
	sent            // to the server
	applied         // by the server; the reply is on its way
)

type moment struct {
	trusted ticks // since A sent its last acknowledged heartbeat
	pending ticks // since A sent the one under way
	seen    ticks // since B saw A's heartbeat change: what its barrier counts from
	since   ticks // since B was granted the lock

	beat    message
	current bool // B has seen A's newest heartbeat
	session bool // of A
	begun   bool // B's term
	handed  bool // from B to C, which counts as B did
	acted   bool // B or C repeated what A had claimed
}

func (c timers) explore() *space[moment] {
	return explore(moment{session: true, current: true}, c.steps)
}

func (c timers) steps(m moment) []step[moment] {
	var list []step[moment]
	add := func(what, bad string, change func(*moment)) {
		to := m
		change(&to)
		list = append(list, step[moment]{label{' ', what, uint8(m.trusted)}, to, bad, false})
	}
	add("a tick", "", func(to *moment) {
		for _, age := range []*ticks{&to.trusted, &to.pending, &to.seen} {
			*age = min(*age+1, oldest)
		}
		if to.begun && !to.handed {
			to.since = min(to.since+1, oldest)
		}
	})
	c.holder(m, add)
	c.successor(m, add)
	return list
}

type momentAdder func(what, bad string, change func(*moment))

func younger(age ticks, rate, than int) bool { return int(age)*rate < than*staleTicks }

func (c timers) holder(m moment, add momentAdder) {
	trusts := younger(m.trusted, c.rateA, c.trust)
	switch {
	case m.beat == none && trusts:
		add("A sends a heartbeat", "", func(to *moment) { to.beat, to.pending = sent, 0 })
	case m.beat == sent && m.session && !m.begun:
		add("the server applies A's heartbeat", "", func(to *moment) { to.beat, to.current = applied, false })
	case m.beat == applied:
		add("A hears that its heartbeat was applied", "", func(to *moment) {
			if to.beat, to.trusted = none, m.pending; c.fromReply {
				to.trusted = 0
			}
		})
	}
	if m.beat != none {
		add("A's heartbeat or its reply is lost", "", func(to *moment) { to.beat = none })
	}
	if m.session {
		add("A's session ends, and A does not know", "", func(to *moment) { to.session = false })
	}
	if younger(m.trusted, c.rateA, c.trust+c.grace) && m.acted {
		add("A's act has its effect, %d ticks after its last heartbeat", ruleOutside, func(*moment) {})
	}
}

func (c timers) successor(m moment, add momentAdder) {
	switch {
	case !m.session && !m.begun:
		add("B is granted the lock", "", func(to *moment) {
			if to.begun = true; !m.current || c.fromGrant { // what it saw is not the last sign of A
				to.seen = 0
			}
		})
	case m.begun && !m.acted:
		c.repeat(m, add)
	}
	if !m.begun {
		c.watch(m, add)
	}
}

// repeat is what B, or after a handover C, does about an act that A had claimed.
func (c timers) repeat(m moment, add momentAdder) {
	passed := !younger(m.seen, c.rateB, c.barrier)
	if passed {
		add("A's act is repeated", "", func(to *moment) { to.acted = true })
	}
	if !m.handed {
		add("B releases the lock to C", "", func(to *moment) {
			if to.handed, to.seen = true, m.since; passed || c.forgetful {
				to.seen = oldest
			}
		})
	}
}

func (c timers) watch(m moment, add momentAdder) {
	if !m.current {
		add("B sees A's newest heartbeat", "", func(to *moment) { to.current, to.seen = true, 0 })
	}
	if m.session && (m.current || c.noRecheck) && !younger(m.seen, c.rateB, c.stale) {
		bad := ""
		if younger(m.trusted, c.rateA, c.trust) {
			bad = ruleHealthy
		}
		add("B judges A stale and ends its session", bad, func(to *moment) { to.session = false })
	}
}

const ruleHealthy = "a takeover hit a holder that trusted itself"

func TestTimedModel_OutsideActsOfTwoTermsNeverOverlap(t *testing.T) {
	t.Parallel()
	for _, rate := range [][2]int{{100, 100}, {95, 105}, {105, 95}} {
		for _, fromGrant := range []bool{false, true} {
			t.Run(fmt.Sprint(rate, fromGrant), func(t *testing.T) {
				t.Parallel()
				c := productTimers()
				c.rateA, c.rateB, c.fromGrant = rate[0], rate[1], fromGrant
				c.explore().holds(t)
			})
		}
	}
}

// Each inequality is needed: weakened, there is a run in which acts overlap or
// a healthy holder is replaced.
func TestTimedModel_EveryWeakerTimerFails(t *testing.T) {
	t.Parallel()
	for name, m := range map[string]struct {
		change func(*timers)
		rule   string
	}{
		"the deadline counts from the reply":             {func(c *timers) { c.fromReply = true }, ruleHealthy},
		"a takeover without a re-check":                  {func(c *timers) { c.noRecheck = true }, ruleHealthy},
		"the holder trusts itself as long as others do":  {func(c *timers) { c.trust, c.grace, c.rateA, c.rateB = 100, 0, 95, 105 }, ruleHealthy},
		"takeover when the holder stops":                 {func(c *timers) { c.stale, c.rateA, c.rateB = 60, 95, 105 }, ruleHealthy},
		"no barrier":                                     {func(c *timers) { c.barrier = 0 }, ruleOutside},
		"a barrier of the trust, acts take no time":      {func(c *timers) { c.barrier, c.grace, c.rateA, c.rateB = 60, 0, 95, 105 }, ruleOutside},
		"a barrier of the trust, acts may use the grace": {func(c *timers) { c.barrier = 60 }, ruleOutside},
		"clocks whose rates differ by a quarter":         {func(c *timers) { c.rateA, c.rateB = 90, 115 }, ruleOutside},
		"the end before the last is forgotten":           {func(c *timers) { c.forgetful = true }, ruleOutside},
		"work may go on until the others' stale time":    {func(c *timers) { c.grace, c.rateA, c.rateB = 40, 95, 105 }, ruleOutside},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := productTimers()
			m.change(&c)
			c.explore().breaks(t, m.rule)
		})
	}
}
