// Package wire stands between a process under test and the world, and ends the
// process at a chosen point of its work.
//
// A crash leaves a torn state only between two effects that others can see: a
// commit of the database, a call to a server, an answer to a caller. All of them
// pass a socket, so they are found there and not listed by hand: a route that
// gets longer gets more points by itself.
//
// Postgres speaks the database's protocol, HTTP that of calls, in either
// direction. Both report each effect to a Journal, which numbers the points and
// springs one trap:
//
//   - Before a point: the process is dead before the message that makes the
//     effect goes on. The effect does not happen.
//   - After a point: the effect has happened and its answer has come, and the
//     process dies without hearing of it.
//
// The process is always dead before its connections close, so it never sees the
// end of a connection that a real crash would not have shown it. Connections
// without a trap are relayed byte for byte, and what the process had sent on
// them before it died arrives, as it does after a real crash.
//
// A transaction that changed nothing is no point: dying around it is the same as
// dying around the neighbour.
package wire

import (
	"fmt"
	"slices"
	"sync"
)

// Point is one effect of a run: the nth with its label. Labels name what
// happens and not when, so that a point is the same in every run even if
// different kinds of work interleave differently.
type Point struct {
	Label string
	Nth   int // from 1
}

// String renders a point for people.
func (p Point) String() string { return fmt.Sprintf("%s #%d", p.Label, p.Nth) }

// Side says on which side of a point the process dies.
type Side string

// The sides.
const (
	Before Side = "before"
	After  Side = "after"
)

// Trap is a point and a side. The zero value is no trap.
type Trap struct {
	Point
	Side Side
}

// String renders a trap for people.
func (t Trap) String() string { return string(t.Side) + " " + t.Point.String() }

// Journal numbers the points of one run. It is safe for concurrent use.
type Journal struct {
	mu     sync.Mutex
	open   bool
	trap   Trap
	kill   func()
	seen   map[string]int
	points []Point
	sprung chan struct{}
}

// NewJournal returns a journal that counts nothing until Open.
func NewJournal() *Journal {
	return &Journal{seen: map[string]int{}, sprung: make(chan struct{})}
}

// Open begins to count. When the trap's point comes, kill is called once; it
// returns when the process is dead.
func (j *Journal) Open(trap Trap, kill func()) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.open, j.trap, j.kill = true, trap, kill
}

// Again begins to count anew, for the process that follows one that was killed,
// with a trap of its own.
func (j *Journal) Again(trap Trap, kill func()) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.trap, j.kill = trap, kill
	j.seen, j.points = map[string]int{}, nil
	j.sprung = make(chan struct{})
}

// Points returns what has passed since Open or Again, in order.
func (j *Journal) Points() []Point {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.Clone(j.points)
}

// Sprung is closed once the process was killed by the present trap.
func (j *Journal) Sprung() <-chan struct{} {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.sprung
}

// meet numbers a point and returns the side on which the process must die
// there, which for all points but one is none.
func (j *Journal) meet(label string) Side {
	j.mu.Lock()
	defer j.mu.Unlock()
	if !j.open || label == "" {
		return ""
	}
	j.seen[label]++
	p := Point{label, j.seen[label]}
	j.points = append(j.points, p)
	if p == j.trap.Point {
		return j.trap.Side
	}
	return ""
}

// spring kills the process. meet says so at most once.
func (j *Journal) spring() {
	j.mu.Lock()
	kill, sprung := j.kill, j.sprung
	j.mu.Unlock()
	kill()
	close(sprung)
}
