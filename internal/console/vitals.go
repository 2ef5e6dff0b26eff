package console

import (
	"context"
	"errors"
	"strings"
	"sync"
	"time"

	"kiosk/internal/generation"
	"kiosk/internal/inbox"
	"kiosk/internal/ledger"
	"kiosk/internal/outbox"
	"kiosk/singleton"
)

// Vitals is what the database says about the work, read in one go. Health,
// metrics and alerts all look at the same snapshot.
type Vitals struct {
	At           time.Time // when the reading began; zero: never
	Takeovers    singleton.Takeovers
	TakeoversNow int // within the last hour
	Migrations   Migrations
	Inbox        inbox.Stats
	Outbox       outbox.Stats
	Generations  generation.Stats
	Holds        ledger.Stats
	Err          error // some part could not be read
}

// How old a snapshot may be when somebody asks. Dashboards and alerts look often
// and need trends. Who asks for /health has just done something and wants to see
// it, so the reading must begin after the question; those who ask meanwhile share
// the next one.
const (
	maxAge       = 5 * time.Second
	maxHealthAge = 0
)

// snapshot is the newest reading. Only one is made at a time.
type snapshot struct {
	mu   sync.Mutex
	last Vitals
}

// Vitals returns a snapshot no older than five seconds. Its Err says whether it
// is whole.
func (c *Console) Vitals() Vitals { return c.vitals(maxAge) }

func (c *Console) vitals(age time.Duration) Vitals {
	if c.MaxAge > 0 {
		age = min(age, c.MaxAge)
	}
	oldest := time.Now().Add(-age)
	c.snapshot.mu.Lock()
	defer c.snapshot.mu.Unlock()
	if last := c.snapshot.last; last.At.After(oldest) {
		return last
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience) // shared: no asker's hurry may end it
	defer cancel()
	c.snapshot.last = c.readVitals(ctx)
	return c.snapshot.last
}

// recentEvents is how many events of the lock are looked through for takeovers.
const recentEvents = 100

// readVitals reads every part, on one connection, and goes on after a part that
// cannot be read.
func (c *Console) readVitals(ctx context.Context) Vitals {
	v := Vitals{At: time.Now()}
	conn, err := c.Pool.Acquire(ctx)
	if err != nil {
		v.Err = err
		return v
	}
	defer conn.Release()
	var errs [7]error
	v.Takeovers, errs[0] = singleton.ReadTakeovers(ctx, conn, c.LockName)
	var events []singleton.Event
	events, errs[1] = singleton.History(ctx, conn, c.LockName, recentEvents)
	for _, e := range events {
		if tookOver(e) && time.Since(e.At) < time.Hour {
			v.TakeoversNow++
		}
	}
	v.Migrations.Applied, v.Migrations.Pending, v.Migrations.Verified, errs[2] = c.Migrator.Counts(ctx, conn)
	v.Inbox, errs[3] = inbox.ReadStats(ctx, conn)
	v.Outbox, errs[4] = outbox.ReadStats(ctx, conn)
	v.Generations, errs[5] = generation.ReadStats(ctx, conn)
	v.Holds, errs[6] = ledger.ReadStats(ctx, conn)
	v.Err = errors.Join(errs[:]...)
	return v
}

// tookOver reports that a holder was replaced because it was silent or made no
// progress, whoever noticed first. One that an operator forced is no alarm.
func tookOver(e singleton.Event) bool {
	switch e.Kind {
	case "takeover":
		return !strings.HasPrefix(e.Detail, "forced")
	case "lost":
		return strings.HasPrefix(e.Detail, "idle")
	}
	return false
}

// Audit is the newest proof of the books.
type Audit struct {
	Defects int       `json:"defects"`
	At      time.Time `json:"at"`
}

// auditShare bounds how much of the time an audit may take: it reads all books.
const auditShare = 20

// RunAudit proves the books again and again until ctx ends; run it on the ACTIVE
// instance only. Each defect is logged.
func (c *Console) RunAudit(ctx context.Context, every time.Duration) {
	defer c.audit.Store(nil)
	for ctx.Err() == nil {
		start := time.Now()
		if err := c.auditOnce(ctx); err != nil && ctx.Err() == nil {
			c.Log.Warn("books not audited", "error", err.Error())
		}
		select {
		case <-ctx.Done():
		case <-time.After(max(every, auditShare*time.Since(start))):
		}
	}
}

func (c *Console) auditOnce(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	defects, err := ledger.Audit(ctx, c.Pool)
	if err != nil {
		return err
	}
	for _, d := range defects {
		c.Log.Error("the books contradict themselves", "defect", d.Defect, "subject", d.Subject, "detail", d.Detail,
			"remedy", "run `kiosk ledger verify`; take no payments until it is explained")
	}
	c.audit.Store(&Audit{Defects: len(defects), At: time.Now().UTC()})
	return nil
}
