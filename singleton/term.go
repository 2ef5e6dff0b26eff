package singleton

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
)

//go:embed sql/fence.sql
var sqlFence string

// The ways in which a term ends. They are the causes of Term.Context.
var (
	ErrReleased = errors.New("the term was released")
	ErrLost     = errors.New("the term was lost")
	ErrFenced   = errors.New("another term has begun")
)

// Beginner starts transactions: a pgxpool.Pool, a pgx.Conn.
type Beginner interface {
	Begin(ctx context.Context) (pgx.Tx, error)
}

// Term is one period during which this process is the holder. It is safe for
// concurrent use. Pass it to everything that only the holder may do.
type Term struct {
	name  string
	epoch int64
	id    string
	clean bool
	began time.Time

	ctx       context.Context
	cancel    context.CancelCauseFunc
	fenced    context.Context // done once a transaction met a newer term
	setFenced context.CancelCauseFunc

	mu       sync.Mutex
	deadline time.Time
	lastBeat time.Time
}

func newTerm(name string, g grant, deadline, beat time.Time) *Term {
	t := &Term{
		name: name, epoch: g.epoch, id: g.term, clean: g.formerState == "released",
		began: beat, deadline: deadline, lastBeat: beat,
	}
	t.ctx, t.cancel = context.WithCancelCause(context.Background())
	t.fenced, t.setFenced = context.WithCancelCause(context.Background())
	return t
}

// Epoch returns the term's fencing number. Every term of a name has a greater
// one than all terms before it.
func (t *Term) Epoch() int64 { return t.epoch }

// Clean reports that the former holder released the lock after its work had
// stopped. Otherwise acts that it had begun outside the database may still be
// under way.
func (t *Term) Clean() bool { return t.clean }

// Context is cancelled when the term ends, with the reason as its cause:
// ErrReleased, ErrLost or ErrFenced.
func (t *Term) Context() context.Context { return t.ctx }

// Check returns nil while this process may act as the holder, else the reason.
// It asks no server: call it directly before an effect outside the database.
func (t *Term) Check() error {
	if err := context.Cause(t.ctx); err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if !time.Now().Before(t.deadline) {
		return fmt.Errorf("no heartbeat was acknowledged in time: %w", ErrLost)
	}
	return nil
}

// InTx runs fn in a transaction that can commit only while this term is the
// newest. It returns ErrFenced, and changes nothing, once a successor has
// begun. A successor waits for the transaction to end, so keep it short and
// call nothing outside the database from fn.
func (t *Term) InTx(ctx context.Context, db Beginner, fn func(pgx.Tx) error) error {
	if err := t.Check(); err != nil {
		return err
	}
	return pgx.BeginFunc(ctx, db, func(tx pgx.Tx) error {
		if err := t.fence(ctx, tx); err != nil {
			return err
		}
		return fn(tx)
	})
}

// fence locks this connection's stripe against a new term until tx ends.
func (t *Term) fence(ctx context.Context, tx pgx.Tx) error {
	stripe := tx.Conn().PgConn().PID() % stripes
	var one int
	err := tx.QueryRow(ctx, sqlFence, t.name, stripe, t.epoch, t.id).Scan(&one)
	if errors.Is(err, pgx.ErrNoRows) {
		t.setFenced(ErrFenced)
		return ErrFenced
	}
	if err != nil {
		return fmt.Errorf("check the fence: %w", err)
	}
	return nil
}

func (t *Term) extend(sent time.Time, by time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.deadline, t.lastBeat = sent.Add(by), sent
}

func (t *Term) heartbeatAge() time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	return time.Since(t.lastBeat)
}

func (t *Term) expiry() time.Time {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.deadline
}
