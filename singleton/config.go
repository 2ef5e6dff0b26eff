package singleton

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"
)

// Config says which lock to campaign for and how patient to be. Name and URL
// are required; the rest has defaults.
type Config struct {
	Name     string // of the lock; processes with the same name and database compete
	URL      string // PostgreSQL, direct: a transaction pooler breaks session locks
	Instance string // shown to people; default: host name and a random suffix

	// WorkApplicationName is the application_name of the pool that does this
	// instance's work. When this instance is replaced while one of its
	// transactions is still open, the successor ends the sessions of that name.
	WorkApplicationName string

	Heartbeat      time.Duration // renewal period, default 2 s
	StaleHeartbeat time.Duration // unchanged this long: takeover, default 10 s

	// Exit ends the process when work ignores the loss of its term. Default os.Exit.
	Exit func(code int)
	Log  *slog.Logger
}

// ErrTimers says that heartbeat and staleness do not fit together.
var ErrTimers = errors.New("the stale threshold is too small for the heartbeat period")

func (c *Config) complete() error {
	if c.Name == "" || c.URL == "" {
		return errors.New("singleton needs a lock name and a database URL")
	}
	if c.Heartbeat == 0 {
		c.Heartbeat = 2 * time.Second
	}
	if c.StaleHeartbeat == 0 {
		c.StaleHeartbeat = 10 * time.Second
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
	return CheckTimers(c.Heartbeat, c.StaleHeartbeat)
}

// CheckTimers returns ErrTimers unless two heartbeats fit into the time for
// which a holder trusts itself: 2 x heartbeat <= 0.6 x stale.
func CheckTimers(heartbeat, stale time.Duration) error {
	if heartbeat > 0 && 2*heartbeat <= trust(stale) {
		return nil
	}
	return fmt.Errorf("%w: 2 x heartbeat (%s) must not exceed 0.6 x stale (%s); raise the threshold to at least %s",
		ErrTimers, 2*heartbeat, trust(stale), (2*heartbeat)*10/6)
}

// trust is how long a holder acts after it sent its last acknowledged
// heartbeat. It is 0.6 of the time after which others may end its session, so
// that it stops first even if the two clocks run at different rates.
func trust(stale time.Duration) time.Duration { return stale * 6 / 10 }

// grace is how long work may take to notice a lost term before the process ends.
const grace = 2 * time.Second

// stripes is the number of fence rows per lock.
const stripes = 64

// key returns the advisory lock key of a name.
func key(name string) int64 {
	sum := sha256.Sum256([]byte("singleton/" + name))
	return int64(binary.BigEndian.Uint64(sum[:8])) //nolint:gosec // all 64 bits are the key; its sign has no meaning
}

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
