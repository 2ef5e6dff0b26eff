package singleton

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"time"
)

// Mode is how the lock is held.
type Mode string

// The modes. Fence, epoch and heartbeat are the same in both, and so is safety;
// they differ in how fast the lock changes hands.
const (
	Auto    Mode = "auto"    // session on a direct connection, lease behind a pooler
	Session Mode = "session" // advisory lock: a dead holder is followed in milliseconds
	Lease   Mode = "lease"   // the row alone: works through a transaction pooler, a dead holder costs the stale time
)

// Config says which lock to campaign for and how patient to be. Name and URL
// are required; the rest has defaults.
type Config struct {
	Name     string // of the lock; processes with the same name and database compete
	URL      string // PostgreSQL; direct for session mode
	Instance string // shown to people; must differ between processes; default: host name and a random suffix
	Mode     Mode   // default Auto

	// WorkApplicationName is the application_name of the pool that does this
	// instance's work. When this instance is replaced while one of its
	// transactions is still open, the successor ends the sessions of that name.
	// When it is empty, as it must be behind a pooler, transactions are tagged by
	// an advisory lock each, and the successor ends the sessions so tagged.
	WorkApplicationName string

	Heartbeat      time.Duration // renewal period, default 2 s
	StaleHeartbeat time.Duration // unchanged this long, or for the holder's own if that is longer: takeover, default 10 s
	StaleIdle      time.Duration // no Term.Progress this long although work waits: takeover, default 120 s and at least StaleHeartbeat
	Drain          time.Duration // how long work may take to finish when asked; then it loses its term; default 60 s

	// Waiting reports whether work is due that nobody has begun. It is asked every
	// heartbeat on a goroutine of its own; an error counts as "unknown", which is
	// no reason to replace anybody. nil: never idle.
	Waiting func(ctx context.Context) (bool, error)

	// Warm prepares the work of a term before the instance counts as ACTIVE. Its
	// error ends the term and Run, as an error of the work does. nil: nothing to prepare.
	Warm func(ctx context.Context, t *Term) error

	// Version and Rank describe this build. With Supersede, a standby of a greater
	// rank asks a holder of a smaller one to step down, once per term. Rank 0 is
	// unknown: it neither asks nor is asked.
	Version   string
	Rank      int64
	Supersede bool

	// ClusterID, if set, must be the lock domain's id (see Domain): it keeps a copy
	// of the database from passing for the original.
	ClusterID string

	// Observe is told of every change of state, heartbeat and refusal. It must not block.
	Observe func(Observation)

	// Exit ends the process when work ignores the loss of its term. Default os.Exit.
	Exit func(code int)
	Log  *slog.Logger

	now   func() instant
	store store
}

// Observation is one thing that happened to an elector.
type Observation struct {
	State State         // the new state, "" when it did not change
	Beat  time.Duration // round trip of a heartbeat that was acknowledged, else 0
	Lost  error         // why a term was lost
	Wait  time.Duration // how long the lock was waited for, with State Warming
}

// ErrTimers says that heartbeat and staleness do not fit together.
var ErrTimers = errors.New("the stale threshold is too small for the heartbeat period")

func (c *Config) complete() error {
	if c.Name == "" || c.URL == "" {
		return errors.New("singleton needs a lock name and a database URL")
	}
	c.durations()
	if c.Mode == "" {
		c.Mode = Auto
	}
	if !slices.Contains([]Mode{Auto, Session, Lease}, c.Mode) {
		return fmt.Errorf("unknown lock mode %q: want auto, session or lease", c.Mode)
	}
	if c.Instance == "" {
		c.Instance = RandomInstance()
	}
	if c.Exit == nil {
		c.Exit = os.Exit
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Observe == nil {
		c.Observe = func(Observation) {}
	}
	if c.now == nil {
		c.now = bootTime
	}
	if c.store == nil {
		c.store = &database{cfg: c}
	}
	return CheckTimers(c.Heartbeat, c.StaleHeartbeat, c.StaleIdle)
}

func (c *Config) durations() {
	standard := func(value *time.Duration, d time.Duration) {
		if *value == 0 {
			*value = d
		}
	}
	standard(&c.Heartbeat, 2*time.Second)
	standard(&c.StaleHeartbeat, 10*time.Second)
	standard(&c.StaleIdle, max(120*time.Second, c.StaleHeartbeat))
	standard(&c.Drain, 60*time.Second)
}

// CheckTimers returns ErrTimers unless the timers fit together:
//
//	2 x heartbeat <= 0.6 x stale   two renewals fit before the holder gives up
//	stale <= idle                  a silent holder is replaced before a slow one
//
// The holder gives up at 0.6 x stale, and its work has until 0.9 x stale to
// stop: before anybody may take over, for clocks that differ in rate by 10 %.
func CheckTimers(heartbeat, stale, idle time.Duration) error {
	if heartbeat <= 0 || 2*heartbeat > trust(stale) {
		return fmt.Errorf("%w: 2 x heartbeat (%s) must not exceed 0.6 x stale (%s); raise the threshold to at least %s",
			ErrTimers, 2*heartbeat, trust(stale), (2*heartbeat)*10/6)
	}
	if idle < stale {
		return fmt.Errorf("%w: the idle threshold (%s) must not be below the heartbeat threshold (%s); raise it to at least that",
			ErrTimers, idle, stale)
	}
	return nil
}

// trust is how long a holder acts after it sent its last acknowledged
// heartbeat. It is 0.6 of the time after which others may end its session, so
// that it stops first even if the two clocks run at different rates.
func trust(stale time.Duration) time.Duration { return stale * 6 / 10 }

// grace is how long work may take to notice a lost term before the process ends.
func (c *Config) grace() time.Duration { return min(2*time.Second, c.StaleHeartbeat*3/10) }

// poll is how often a standby looks at the lease.
func (c *Config) poll() time.Duration {
	return min(max(c.StaleHeartbeat/10, 50*time.Millisecond), time.Second)
}

// stripes is the number of fence rows per lock, and singleton_check knows it.
const stripes = 64

// key returns the advisory lock key of a name.
func key(name string) int64 { return hash("singleton/" + name) }

func hash(text string) int64 {
	sum := sha256.Sum256([]byte(text))
	return int64(binary.BigEndian.Uint64(sum[:8])) //nolint:gosec // all 64 bits are the key; its sign has no meaning
}

// tag returns the key of the advisory lock that marks a lock's open transactions.
func tag(name string) int64 { return hash("singleton transactions/" + name) }

// RandomInstance returns a name that no other process has: the host and a random
// suffix. A host name alone would make two processes on one host the same.
func RandomInstance() string {
	host, err := os.Hostname()
	if err != nil {
		host = "instance"
	}
	var b [4]byte
	_, _ = rand.Read(b[:]) // never fails: crypto/rand documents that it aborts instead
	return host + "-" + hex.EncodeToString(b[:])
}
