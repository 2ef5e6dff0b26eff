package singleton_test

// This file is the protocol as a small transition system, without time: what may
// happen in any order is explored in every order. A pause needs no step of its
// own to be dangerous, for any step may come arbitrarily late; it has one
// because progress must not depend on somebody who is frozen. A lost message is
// a step that is not taken, or one whose effect the sender does not learn.

// The rules that must hold.
const (
	ruleCommit   = "a term committed after a newer one had begun"
	ruleBeat     = "a heartbeat was acknowledged to another than the registered holder"
	ruleHolders  = "two sessions hold the lock"
	ruleVictim   = "a takeover hit another term than the one that was judged"
	ruleRevived  = "a takeover hit a holder that had beaten since it was judged"
	ruleProgress = "nobody who is awake can become the holder any more"
)

// phase is what an instance believes, or what its session is.
type phase uint8

const (
	off     phase = iota // crashed, or never started
	waiting              // its session is in the lock's queue (or, in lease mode, it asks for the row)
	queued               // only a mutant: it has the lock and is not registered yet
	granted              // registered by the server; the answer has not been read
	active               // it believes that it is the holder
	unlocks              // only a mutant: the row is released, and the lock not yet
)

// work is one fenced transaction of an instance.
type work struct {
	open    bool
	checked bool // the fence let it pass; it holds the row FOR KEY SHARE
	id      identity
}

// identity says which term somebody means.
type identity struct {
	term   uint8 // the term's random id. It also counts terms as they truly began
	epoch  uint8 // can repeat: a failover may lose a bump
	server uint8 // incarnation of the server
}

// sight is what a watcher has judged.
type sight struct {
	some        bool
	term, epoch uint8
	beat        uint8
}

type instance struct {
	phase   phase
	frozen  bool
	session bool // the lock's session lives on the server
	locked  bool // and holds the advisory lock
	id      identity
	work    work // outlives the phase: a COMMIT may be under way when its sender is gone
	seen    sight
}

// row is the lease and, because both change in one transaction, the fence.
type row struct {
	term, epoch uint8
	holder      uint8
	beat        uint8
	held        bool
}

type world struct {
	at     [3]instance
	row    row
	before row // what a lossy failover returns to
	server uint8
	terms  uint8 // how many terms have begun, whatever became of them
}

// protocol says what is explored, and with which mutations.
type protocol struct {
	instances    uint8
	terms, beats uint8 // bounds
	lease        bool  // lease mode: the row alone, no lock
	twice        bool  // the lock may be granted to several at once, as poolers do
	failover     bool  // one failover, which may lose the last bump

	noFence      bool // work commits unchecked
	plainSelect  bool // the check takes no lock
	plainUpdate  bool // the bump does not conflict with the check
	noPin        bool // a term is good on every incarnation of the server
	noTermID     bool // the epoch alone says which term is meant
	anyBeat      bool // a heartbeat goes to the row whoever holds it
	noRecheck    bool // a takeover ends whoever is registered now
	termRecheck  bool // a takeover compares the term and not the heartbeat
	beatRecheck  bool // a takeover compares the heartbeat and not the term
	sightByEpoch bool // a watcher does not notice that a term has another id
	lateRegister bool // the lock is granted in one step and registered in another
	spareWork    bool // a new term waits for open work and ends none
	unlockLater  bool // release writes the row, and unlocks in another step
}

func (p protocol) start() world {
	var w world
	for i := range p.instances {
		w.at[i] = instance{phase: waiting, session: true}
	}
	return w
}

type worldStep = step[world]

func (p protocol) explore() *space[world] {
	s := explore(p.start(), p.steps)
	if s.broken == "" {
		s.stuck(ruleProgress, p.oughtToProgress, p.somebodyHolds)
	}
	return s
}

// steps lists what can happen next.
func (p protocol) steps(w world) []worldStep {
	list := make([]worldStep, 0, 32)
	for i := range p.instances {
		add := func(does string, n uint8, fault bool, to world, bad string) {
			if bad == "" && !p.twice && to.locks() > 1 {
				bad = ruleHolders
			}
			list = append(list, worldStep{label{'A' + i, does, n}, to, bad, fault})
		}
		p.onServer(w, i, add)
		if me := w.at[i]; me.phase != off && !me.frozen {
			p.asWaiter(w, i, add)
			p.asHolder(w, i, add)
		}
		p.faults(w, i, add)
	}
	return list
}

type adder func(does string, n uint8, fault bool, to world, bad string)

// onServer is what the server does with statements that were sent, whatever
// their sender does meanwhile.
func (p protocol) onServer(w world, i uint8, add adder) {
	me := w.at[i]
	if me.phase == waiting && me.session && p.obtainable(w, i) && w.terms < p.terms {
		switch {
		case p.lateRegister:
			to := w
			to.at[i].phase, to.at[i].locked = queued, true
			add("is granted the lock, unregistered", 0, false, to, "")
		case !p.fenceBusy(w):
			to, bad := p.bump(w, i)
			add("is granted the lock and registered, term %d", to.terms, false, to, bad)
		}
	}
	if me.work.open {
		p.workOnServer(w, i, add)
	}
}

// workOnServer is the transaction of instance i. Of one whose client is frozen or
// gone without a word, nobody may expect that it ends.
func (p protocol) workOnServer(w world, i uint8, add adder) {
	me := w.at[i]
	silent := me.frozen || me.phase == off
	to := w
	to.at[i].work = work{}
	add("aborts its transaction", 0, silent, to, "")
	switch {
	case me.work.checked:
		bad := ""
		if me.work.id.term != w.terms {
			bad = ruleCommit
		}
		add("commits for term %d", me.work.id.term, silent, to, bad)
	case p.passes(w, me.work.id):
		to.at[i].work = me.work
		to.at[i].work.checked = true
		add("passes the fence for term %d", me.work.id.term, silent, to, "")
	default:
		add("is refused by the fence for term %d", me.work.id.term, silent, to, "")
	}
}

// obtainable says whether instance i could be granted the lock: the lock is
// free, or in lease mode the row is.
func (p protocol) obtainable(w world, i uint8) bool {
	if p.lease {
		return !w.row.held || p.recheck(w, w.at[i].seen)
	}
	return p.twice || w.locks() == 0
}

func (w world) locks() (n int) {
	for _, in := range w.at {
		if in.locked {
			n++
		}
	}
	return n
}

// fenceBusy says whether open work keeps a new term from beginning.
func (p protocol) fenceBusy(w world) bool {
	if p.noFence || p.plainSelect || p.plainUpdate {
		return false
	}
	for _, in := range w.at {
		if in.work.checked {
			return true
		}
	}
	return false
}

// bump begins a term: the row is locked FOR UPDATE, the epoch raised and the
// holder registered in one transaction.
func (p protocol) bump(w world, i uint8) (to world, bad string) {
	to = w
	to.terms++
	if p.failover && w.server == 0 {
		to.before = w.row
	}
	to.row = row{term: to.terms, epoch: w.row.epoch + 1, holder: i, held: true}
	me := &to.at[i]
	if p.lease && w.row.held {
		bad = judged(w, me.seen)
	}
	me.phase, me.locked, me.seen = granted, !p.lease, sight{}
	me.id = identity{to.terms, to.row.epoch, w.server}
	return to, bad
}

// passes is the check of the fence.
func (p protocol) passes(w world, id identity) bool {
	return p.noFence ||
		id.epoch == w.row.epoch && (p.noTermID || id.term == w.row.term) && (p.noPin || id.server == w.server)
}

// recheck is what a takeover verifies again, in the statement that acts.
func (p protocol) recheck(w world, s sight) bool {
	term := s.epoch == w.row.epoch && (p.sightByEpoch || s.term == w.row.term)
	beat := s.beat == w.row.beat
	return s.some && w.row.held && (term || p.noRecheck || p.beatRecheck) && (beat || p.noRecheck || p.termRecheck)
}

// judged names the rule that a takeover breaks now.
func judged(w world, s sight) string {
	switch {
	case s.term != w.row.term:
		return ruleVictim
	case s.beat != w.row.beat:
		return ruleRevived
	}
	return ""
}

// asWaiter is what an instance does that waits for the lock. That a holder has
// been silent for long enough is left to chance: it may be judged at any time.
func (p protocol) asWaiter(w world, i uint8, add adder) {
	me := w.at[i]
	switch {
	case me.phase == queued:
		if me.session && !p.fenceBusy(w) {
			to, bad := p.bump(w, i)
			add("registers, term %d", to.terms, false, to, bad)
		}
		return
	case me.phase != waiting:
		return
	case !me.session:
		to := w
		to.at[i].session = true
		add("connects again", 0, false, to, "")
		return
	}
	if now := (sight{true, w.row.term, w.row.epoch, w.row.beat}); w.row.held && me.seen != now {
		to := w
		to.at[i].seen = now
		add("sees a heartbeat of term %d", now.term, false, to, "")
	}
	if !p.lease && me.seen.some {
		p.takeover(w, i, add)
	}
	if p.fenceBusy(w) && p.obtainable(w, i) && !p.spareWork {
		to := w
		to.at[w.row.holder].work = work{}
		add("ends the former holder's work sessions", 0, false, to, "")
	}
}

// takeover ends the registered session, if it lives, holds the lock, and is
// still what was judged.
func (p protocol) takeover(w world, i uint8, add adder) {
	seen := w.at[i].seen
	holder := w.at[w.row.holder]
	registered := holder.session && holder.locked && holder.id.term == w.row.term
	if !registered || !p.recheck(w, seen) {
		return
	}
	to := w
	to.at[i].seen = sight{}
	to.at[w.row.holder].session, to.at[w.row.holder].locked = false, false
	add("judged term %d stale and ends its session", seen.term, false, to, judged(w, seen))
}

// asHolder is what an instance does that was granted a term. Being asked to
// step down is a release that somebody else wants.
func (p protocol) asHolder(w world, i uint8, add adder) {
	me := w.at[i]
	switch me.phase {
	case granted, active:
		p.beat(w, i, add)
	case unlocks:
		add("unlocks", 0, false, p.away(w, i), "")
	default:
	}
	if me.phase != active || me.work.open {
		return
	}
	to := w
	to.at[i].work = work{open: true, id: me.id}
	add("begins a transaction", 0, false, to, "")

	to = w
	if w.row.term == me.id.term {
		to.row.held = false
	}
	if p.unlockLater {
		to.at[i].phase = unlocks
	} else {
		to = p.away(to, i)
	}
	add("releases", 0, false, to, "")
}

// beat renews. The first beat makes the instance active; one that is refused,
// or whose session has ended, makes it wait again.
func (p protocol) beat(w world, i uint8, add adder) {
	me := w.at[i]
	own := w.row.held && w.row.term == me.id.term && w.row.epoch == me.id.epoch
	if !p.lease && !me.session || !own && (!p.anyBeat || !w.row.held) {
		add("learns that its term is over", 0, false, p.away(w, i), "")
		return
	}
	to := w
	to.at[i].phase = active
	to.row.beat = min(w.row.beat+1, p.beats)
	bad := ""
	if !own {
		bad = ruleBeat
	}
	add("beats for term %d", me.id.term, false, to, bad)
}

// away closes the session of instance i and opens a new one.
func (p protocol) away(w world, i uint8) world {
	me := &w.at[i]
	*me = instance{phase: waiting, session: true, work: me.work}
	return w
}

func (p protocol) faults(w world, i uint8, add adder) {
	me := w.at[i]
	if me.phase == off {
		add("starts again", 0, true, p.away(w, i), "")
	} else {
		to := w
		to.at[i].frozen = !me.frozen
		add(map[bool]string{false: "is frozen", true: "goes on"}[me.frozen], 0, true, to, "")
		to = w
		to.at[i] = instance{work: me.work}
		add("crashes", 0, true, to, "")
	}
	if me.locked {
		to := w
		to.at[i].session, to.at[i].locked = false, false
		add("loses its session and does not notice", 0, true, to, "")
	}
	if i == 0 && p.failover && w.server == 0 {
		kept, lost := p.failedOver(w, w.row), p.failedOver(w, w.before)
		add("and all see a failover", 0, true, kept, "")
		add("and all see a failover that loses the last bump", 0, true, lost, "")
	}
}

func (p protocol) failedOver(w world, to row) world {
	w.server, w.row, w.before = 1, to, row{}
	for i := range w.at {
		w.at[i].session, w.at[i].locked, w.at[i].work = false, false, work{}
	}
	return w
}

// oughtToProgress: somebody is awake, and the bound allows one more term.
func (p protocol) oughtToProgress(w world) bool {
	for _, in := range w.at {
		if in.phase != off && !in.frozen {
			return w.terms < p.terms
		}
	}
	return false
}

func (p protocol) somebodyHolds(w world) bool {
	for _, in := range w.at {
		if in.phase == active && !in.frozen && (p.lease || in.session) && w.row.held && w.row.term == in.id.term {
			return true
		}
	}
	return false
}
