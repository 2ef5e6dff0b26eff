package singleton

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// simServer is the database as far as the protocol sees it, in memory: the lock
// and its queue, the lease row, the fence, and the sessions that hold them. What
// a statement does, it does at once and under mu; waiting is done outside.
type simServer struct {
	oracle *oracle
	broken mutants

	mu          sync.Mutex
	changed     chan struct{} // closed and replaced when the lock or the fence may have become free
	sessions    map[*simSession]bool
	owner       *simSession
	queue       []*simSession
	row, before simRow // before is what a failover may return to
	incarnation int64
	terms       int64 // that have begun, whatever became of them
	down        bool
	twice       int // how many grants will ignore that the lock is held
	takeovers   []time.Time
	beats       []time.Time
}

// mutants are parts of the protocol that are left out.
type mutants struct {
	noFence, plainSelect, plainUpdate, noPin bool // of the fence
	blindTakeover, wildClocks, byEpoch       bool // of the takeover
	fromReply, noBarrier, forgetful          bool // of the time limits outside the database
}

// simRow is the lease, and the fence as well: one transaction changes both.
type simRow struct {
	snapshot
	id         string
	session    *simSession
	workApp    string
	unsettled  bool // it was released while an earlier term might still act
	askedEpoch int64
	by, wish   string // who asked, and whom for
	heir       string
	heirUntil  time.Time
}

var (
	errDown  = errors.New("the database is down")
	errEnded = errors.New("the server ended the session")
)

func newSimServer(o *oracle, broken mutants) *simServer {
	return &simServer{oracle: o, broken: broken, changed: make(chan struct{}), sessions: map[*simSession]bool{},
		incarnation: 1, row: simRow{snapshot: snapshot{state: "released"}}}
}

func (d *simServer) broadcast() {
	close(d.changed)
	d.changed = make(chan struct{})
}

// connect makes a session of a host over one of its links.
func (d *simServer) connect(h *host, l link) (*simSession, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.down {
		return nil, errDown
	}
	s := &simSession{server: d, host: h, link: l, m: h.world.mode, ended: make(chan struct{}), said: make(chan struct{}, 1)}
	d.sessions[s] = true
	return s, nil
}

// end ends a session and what it held.
func (d *simServer) end(s *simSession) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.endLocked(s)
}

func (d *simServer) endLocked(s *simSession) {
	if !d.sessions[s] {
		return
	}
	delete(d.sessions, s)
	close(s.ended)
	if d.owner == s {
		d.owner = nil
	}
	d.broadcast()
}

// endOf ends the sessions of a host on the links that are named.
func (d *simServer) endOf(h *host, links ...link) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for s := range d.sessions {
		if s.host == h && slices.Contains(links, s.link) {
			d.endLocked(s)
		}
	}
}

// fail takes the database down: everything that lives in memory is gone, and a
// failover that is lossy forgets the last term that began.
func (d *simServer) fail(lossy bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.down = true
	for s := range d.sessions {
		d.endLocked(s)
	}
	d.incarnation++
	if lossy {
		d.oracle.forgot(d.terms, d.before.id)
		d.row = d.before
	}
}

func (d *simServer) recover() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.down, d.twice = false, 0
}

// until waits under mu for a condition, the end of the session, or the limit.
func (d *simServer) until(s *simSession, limit time.Duration, ok func() bool) (bool, error) {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	for {
		if !d.sessions[s] {
			return false, errEnded
		}
		if ok() {
			return true, nil
		}
		changed := d.changed
		d.mu.Unlock()
		expired := false
		select {
		case <-changed:
		case <-s.ended:
		case <-timer.C:
			expired = true
		}
		d.mu.Lock()
		if expired {
			return ok() && d.sessions[s], nil
		}
	}
}

// grant is singleton_grant of the schema.
func (d *simServer) grant(s *simSession, m mark, patience time.Duration) (grant, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if s.m == Session {
		if got, err := d.lock(s, patience); !got {
			return grant{outcome: "busy"}, err
		}
	}
	g := grant{formerInstance: d.row.instance, formerWorkApp: d.row.workApp, formerState: d.row.state, formerBeat: d.row.beat}
	if d.row.unsettled && !d.broken.forgetful {
		g.formerState = "unsettled"
	}
	g.outcome = d.refusal(s, m)
	if g.outcome == "" {
		free, err := d.until(s, 500*time.Millisecond, d.fenceFree)
		if err != nil {
			return g, err
		}
		if !free {
			g.outcome = "fence_busy"
		}
	}
	if g.outcome != "" {
		d.unlock(s)
		return g, nil
	}
	d.bump(s, &g, m)
	return g, nil
}

func (d *simServer) lock(s *simSession, patience time.Duration) (bool, error) {
	d.queue = append(d.queue, s)
	got, err := d.until(s, patience, func() bool { return d.twice > 0 || d.owner == nil && d.queue[0] == s })
	d.queue = slices.DeleteFunc(d.queue, func(q *simSession) bool { return q == s })
	if got {
		if d.owner != nil {
			d.twice--
		}
		d.owner = s
	}
	d.broadcast()
	return got, err
}

func (d *simServer) unlock(s *simSession) {
	if d.owner == s {
		d.owner = nil
		d.broadcast()
	}
}

// refusal is why the row cannot be had now, "" if it can.
func (d *simServer) refusal(s *simSession, m mark) string {
	held := d.row.held() && s.m == Lease
	switch {
	case held && !d.same(m):
		return "held"
	case held && d.damped():
		return "damped"
	case !d.row.held() && d.row.heir != "" && d.row.heir != s.host.name && time.Now().Before(d.row.heirUntil):
		return "yield"
	}
	return ""
}

// same says whether the holder is still as the watcher saw it.
func (d *simServer) same(m mark) bool {
	if m.reason == "" || !d.row.held() {
		return false
	}
	if d.broken.blindTakeover {
		return true
	}
	return d.row.epoch == m.epoch &&
		(m.reason == reasonHeartbeat && d.row.beat == m.value || m.reason == reasonIdle && d.row.progress == m.value && d.row.waiting)
}

func (d *simServer) damped() bool {
	recent := 0
	for _, at := range d.takeovers {
		if time.Since(at) < 10*time.Minute {
			recent++
		}
	}
	return recent >= 3
}

func (d *simServer) fenceFree() bool {
	if d.broken.noFence || d.broken.plainSelect || d.broken.plainUpdate {
		return true
	}
	for s := range d.sessions {
		if s.shares {
			return false
		}
	}
	return true
}

func (d *simServer) bump(s *simSession, g *grant, m mark) {
	if s.m == Lease && d.row.held() {
		d.oracle.tookOver(d.row.id, m)
		d.takeovers = append(d.takeovers, time.Now())
	}
	d.terms++
	d.before = d.row
	g.outcome, g.epoch, g.term, g.server = "acquired", d.row.epoch+1, fmt.Sprintf("term-%d", d.terms), d.incarnation
	d.row = simRow{
		snapshot: snapshot{epoch: g.epoch, state: "held", instance: s.host.name, mode: s.m, acquiredAt: time.Now()},
		id:       g.term, session: s, workApp: s.host.name,
	}
	d.oracle.began(g.term, d.terms, s.host.name)
}

func (d *simServer) beat(s *simSession, t *Term, p pulse) (request, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	own := d.row.id == t.id && d.row.epoch == t.epoch && d.row.held() && (s.m == Lease || d.row.session == s)
	if !own {
		return request{}, ErrFenced
	}
	d.row.beat++
	d.beats = append(d.beats, time.Now())
	d.row.pulse = p
	return request{d.row.askedEpoch == t.epoch, d.row.by, d.row.wish}, nil
}

func (d *simServer) release(s *simSession, t *Term, heir string, unsettled bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.row.id == t.id && d.row.epoch == t.epoch {
		d.row.state, d.row.heir, d.row.heirUntil = "released", heir, time.Now().Add(time.Second)
		d.row.unsettled = unsettled
	}
	d.unlock(s)
}

func (d *simServer) read() snapshot {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := d.row.snapshot
	if now.term = d.row.id; d.broken.byEpoch {
		now.term = ""
	}
	return now
}

func (d *simServer) takeover(m mark) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	victim := d.row.session
	if !d.same(m) || victim == nil || d.owner != victim || d.damped() {
		return false
	}
	d.oracle.tookOver(d.row.id, m)
	d.takeovers = append(d.takeovers, time.Now())
	d.endLocked(victim)
	return true
}

func (d *simServer) stranger() int32 {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.owner == nil || d.row.held() && d.row.session == d.owner {
		return 0
	}
	return 1
}

func (d *simServer) ask(epoch int64, by, heir string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.row.held() || d.row.epoch != epoch || d.row.askedEpoch == epoch {
		return
	}
	d.row.askedEpoch, d.row.by, d.row.wish = epoch, by, heir
	if s := d.row.session; s != nil {
		select {
		case s.said <- struct{}{}:
		default:
		}
	}
}

// endWork ends the sessions of the work of one instance.
func (d *simServer) endWork(application string) (n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for s := range d.sessions {
		if s.link == linkWork && s.host.name == application {
			d.endLocked(s)
			n++
		}
	}
	return n
}

// check is singleton_check of the schema: the session shares the fence until its
// transaction ends.
func (d *simServer) check(s *simSession, epoch int64, id string, server int64) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	current := d.row.epoch == epoch && d.row.id == id && (d.broken.noPin || server == d.incarnation)
	if !current && !d.broken.noFence {
		return &pgconn.PgError{Code: codeOver, Message: "the term is over"}
	}
	s.shares = true
	return nil
}

// commit does nothing on a session that was ended while the message was under way.
func (d *simServer) commit(s *simSession, id string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.sessions[s] {
		return
	}
	d.oracle.committed(id, d.terms)
	s.shares = false
	d.broadcast()
}

func (d *simServer) rollback(s *simSession) {
	d.mu.Lock()
	defer d.mu.Unlock()
	s.shares = false
	d.broadcast()
}

func (d *simServer) grantTwice() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.twice++
	d.broadcast()
}

func (d *simServer) usedUp() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.damped()
}
