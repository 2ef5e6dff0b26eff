package singleton

import (
	"context"
	"time"
)

// store is what an elector needs of the outside. The product's is PostgreSQL;
// tests put a simulated one in its place, to run many faults in little time.
type store interface {
	// open makes a session and finds out the mode, unless it is asked for by role "watch".
	open(ctx context.Context, role role) (session, error)
}

type role string

const (
	roleLock  role = "lock"  // campaigns and holds
	roleWatch role = "watch" // looks and takes over
)

// session is one connection to the store. It is used by one goroutine at a time.
type session interface {
	mode() (Mode, string)

	// acquire asks for the lock, and in session mode waits for it for up to
	// patience. stale is what the caller has found stale, the zero value for nothing.
	acquire(ctx context.Context, stale mark, patience time.Duration) (grant, error)
	endWork(ctx context.Context, application string) (int, error)

	beat(ctx context.Context, t *Term, p pulse) (request, error)
	idle(ctx context.Context) error // until ctx ends or something was said; an error when the session ended
	release(ctx context.Context, t *Term, reason string, heir string) error

	read(ctx context.Context) (snapshot, error)
	takeover(ctx context.Context, m mark) (bool, error)
	stranger(ctx context.Context) (pid int32, err error)
	ask(ctx context.Context, epoch int64, heir string) error
	record(ctx context.Context, epoch int64, kind, detail string) error

	broken() bool
	close()
}

// grant is what the store answered to one attempt.
type grant struct {
	outcome                                    string
	epoch                                      int64
	term                                       string
	server                                     int64 // incarnation on which the term began
	formerInstance, formerWorkApp, formerState string
	formerBeat                                 int64
}

// pulse is what a heartbeat carries.
type pulse struct {
	progress int64
	waiting  bool
	stale    time.Duration // how long others must leave the holder alone, as it counts itself
}

// request is somebody's wish that the term ends.
type request struct {
	asked    bool
	by, heir string
}

// snapshot is the lease row as a watcher sees it.
type snapshot struct {
	epoch, beat int64
	term        string // epochs can repeat: a failover may lose a term
	state       string
	instance    string
	acquiredAt  time.Time
	mode        Mode
	version     string
	rank        int64
	pulse
}

func (s snapshot) held() bool { return s.state == "held" }

// The reasons for which a holder is replaced.
const (
	reasonHeartbeat = "heartbeat"
	reasonIdle      = "idle"
)

// mark names exactly what was found stale: the beat, or the progress, of one epoch.
type mark struct {
	reason string // "" for none
	epoch  int64
	value  int64
	age    time.Duration
}
