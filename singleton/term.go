package singleton

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

//go:embed sql/fence.sql
var sqlFence string

// The ways in which a term ends. They are the causes of Term.Context.
var (
	ErrReleased = errors.New("the term was released")
	ErrLost     = errors.New("the term was lost")
	ErrFenced   = errors.New("another term has begun")
	ErrIdle     = errors.New("idle: work waits and none of it is done")
)

// codeOver is the SQLSTATE with which singleton_check refuses.
const codeOver = "SG001"

// Beginner starts transactions: a pgxpool.Pool, a pgx.Conn.
type Beginner interface {
	BeginTx(ctx context.Context, o pgx.TxOptions) (pgx.Tx, error)
}

// Batcher sends several statements at once: a pgxpool.Pool, a pgx.Conn.
type Batcher interface {
	SendBatch(ctx context.Context, b *pgx.Batch) pgx.BatchResults
}

// Term is one period during which this process is the holder. It is safe for
// concurrent use. Pass it to everything that only the holder may do.
type Term struct {
	name   string
	epoch  int64
	id     string
	server int64
	tag    int64 // 0 when the work's sessions are known by their name
	clean  bool
	began  time.Time
	stale  time.Duration
	now    func() instant

	ctx       context.Context
	cancel    context.CancelCauseFunc
	fenced    context.Context // done once a transaction met a newer term
	setFenced context.CancelCauseFunc

	barrier  instant // until then acts of the former holder may be under way
	progress atomic.Int64
	waiting  atomic.Bool
	workedAt atomic.Int64 // an instant: the last progress, or the last time when nothing waited

	mu       sync.Mutex
	deadline instant
	lastBeat instant
}

func (c *Config) newTerm(g grant, sent instant) *Term {
	t := &Term{
		name: c.Name, epoch: g.epoch, id: g.term, server: g.server, clean: g.formerState == "released",
		began: time.Now(), stale: c.StaleHeartbeat, now: c.now, deadline: sent.add(trust(c.StaleHeartbeat)), lastBeat: sent,
	}
	if c.WorkApplicationName == "" {
		t.tag = tag(c.Name)
	}
	t.workedAt.Store(int64(sent))
	t.ctx, t.cancel = context.WithCancelCause(context.Background())
	t.fenced, t.setFenced = context.WithCancelCause(context.Background())
	return t
}

// Epoch returns the term's fencing number. Every term of a name has a greater
// one than all terms before it.
func (t *Term) Epoch() int64 { return t.epoch }

// Clean reports that the former holder released the lock after its work had
// stopped. Otherwise acts that it had begun outside the database may still be
// under way for as long as Barrier says.
func (t *Term) Clean() bool { return t.clean }

// Barrier returns for how much longer the former holder may act outside the
// database: 0 after a clean end, else at most the stale time, counted from when
// its last heartbeat was seen: its trust in itself, the moment that its work gets
// to stop, and a margin for clocks that differ in rate. Acts that an earlier term
// had recorded and not finished wait that long before they are judged; nothing
// else need wait.
func (t *Term) Barrier() time.Duration {
	if t.clean {
		return 0
	}
	return max(t.barrier.since(t.now()), 0)
}

// Context is cancelled when the term ends, with the reason as its cause:
// ErrReleased, ErrLost, ErrFenced or ErrIdle.
func (t *Term) Context() context.Context { return t.ctx }

// Progress says that a piece of work was done. A holder whose work waits while
// nobody calls Progress is replaced after the idle time.
func (t *Term) Progress() {
	t.progress.Add(1)
	t.workedAt.Store(int64(t.now()))
}

// noteWaiting keeps whether work waits.
func (t *Term) noteWaiting(waiting bool) {
	if !waiting {
		t.workedAt.Store(int64(t.now()))
	}
	t.waiting.Store(waiting)
}

// idle is for how long work has waited without progress.
func (t *Term) idle() time.Duration {
	if !t.waiting.Load() {
		return 0
	}
	return t.now().since(instant(t.workedAt.Load()))
}

// Check returns nil while this process may act as the holder, else the reason.
// It asks no server: call it directly before an effect outside the database.
func (t *Term) Check() error {
	if err := context.Cause(t.ctx); err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.now() >= t.deadline {
		return fmt.Errorf("no heartbeat was acknowledged in time: %w", ErrLost)
	}
	return nil
}

// InTx runs fn in a transaction that can commit only while this term is the
// newest, on the server on which it began. It returns ErrFenced, and changes
// nothing, once a successor has begun. A successor waits for the transaction to
// end, so keep it short and call nothing outside the database from fn.
func (t *Term) InTx(ctx context.Context, db Beginner, fn func(pgx.Tx) error) error {
	if err := t.Check(); err != nil {
		return err
	}
	return pgx.BeginTxFunc(ctx, db, pgx.TxOptions{}, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, sqlFence, t.name, t.epoch, t.id, t.server, t.tag); err != nil {
			return t.refused(err)
		}
		return fn(tx)
	})
}

// Exec runs one statement as InTx would, in a single round trip: the fence and
// the statement are one implicit transaction.
func (t *Term) Exec(ctx context.Context, db Batcher, sql string, args ...any) (pgconn.CommandTag, error) {
	if err := t.Check(); err != nil {
		return pgconn.CommandTag{}, err
	}
	b := &pgx.Batch{}
	b.Queue(sqlFence, t.name, t.epoch, t.id, t.server, t.tag)
	b.Queue(sql, args...)
	results := db.SendBatch(ctx, b)
	tag, err := t.second(results)
	if closeErr := results.Close(); err == nil {
		err = closeErr // the commit
	}
	return tag, err
}

func (t *Term) second(results pgx.BatchResults) (pgconn.CommandTag, error) {
	if _, err := results.Exec(); err != nil {
		return pgconn.CommandTag{}, t.refused(err)
	}
	return results.Exec()
}

// refused reads an error of the fence.
func (t *Term) refused(err error) error {
	var e *pgconn.PgError
	if errors.As(err, &e) && e.Code == codeOver {
		t.setFenced(ErrFenced)
		return ErrFenced
	}
	return fmt.Errorf("check the fence: %w", err)
}

func (t *Term) extend(sent instant, by time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.deadline, t.lastBeat = sent.add(by), sent
}

func (t *Term) heartbeatAge() time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.now().since(t.lastBeat)
}

// remaining is how long the term may still trust itself.
func (t *Term) remaining() time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.deadline.since(t.now())
}

func (t *Term) pulse() pulse { return pulse{t.progress.Load(), t.waiting.Load(), t.stale} }
