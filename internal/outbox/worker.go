package outbox

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"kiosk/internal/lane"
	"kiosk/internal/pg"
	"kiosk/internal/telegram"
	"kiosk/internal/trace"
	"kiosk/singleton"
)

// Chat is one ordered stream of messages.
type Chat struct {
	ID     int64
	Urgent bool
}

// Worker sends messages during one term.
type Worker struct {
	pool   *pgxpool.Pool
	term   *singleton.Term
	sender Sender
	pace   *pace
	log    *slog.Logger

	metrics *Metrics
	runner  *lane.Runner[Chat]

	mu        sync.Mutex
	unsettled map[int64]int // how often settling a message has failed
}

// NewWorker returns the worker of one term.
func NewWorker(pool *pgxpool.Pool, term *singleton.Term, sender Sender, log *slog.Logger, m *Metrics) (*Worker, error) {
	if pool == nil || term == nil || sender == nil || log == nil || m == nil {
		return nil, errors.New("outbox: a worker needs pool, term, sender, log and metrics")
	}
	w := &Worker{pool: pool, term: term, sender: sender, pace: newPace(), log: log, metrics: m, unsettled: map[int64]int{}}
	runner, err := lane.New(lane.Config[Chat]{
		Name: "outbox", Workers: 48, Poll: time.Second, Due: w.due, Work: w.work, Log: log, Metrics: m.Lane,
	})
	w.runner = runner
	return w, err
}

// Wake says that a message was added.
func (w *Worker) Wake() { w.runner.Wake() }

// Run sends until ctx ends and the messages under way are recorded.
func (w *Worker) Run(ctx context.Context) { w.runner.Run(ctx, w.term.Context()) }

func (w *Worker) due(ctx context.Context, busy []Chat, limit int) ([]lane.Due[Chat], error) {
	ids, urgent := make([]int64, len(busy)), make([]bool, len(busy))
	for i, c := range busy {
		ids[i], urgent[i] = c.ID, c.Urgent
	}
	barred := int64(0) // claims of terms before this one may still be under way
	if w.term.Barrier() > 0 {
		barred = w.term.Epoch()
	}
	rows, err := w.pool.Query(ctx, sqlDue, ids, urgent, limit, barred)
	if err != nil {
		return nil, fmt.Errorf("list waiting chats: %w", err)
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (d lane.Due[Chat], err error) {
		err = row.Scan(&d.Key.ID, &d.Key.Urgent, &d.In)
		return d, err
	})
}

// work sends a chat's first message and tells the lock that work goes on.
func (w *Worker) work(ctx context.Context, c Chat) (more bool, err error) {
	if more, err = w.next(ctx, c); err == nil {
		w.term.Progress()
	}
	return more, err
}

// next sends a chat's first message.
func (w *Worker) next(ctx context.Context, c Chat) (more bool, err error) {
	if err := w.pace.wait(ctx, c); err != nil {
		return false, nil //nolint:nilerr // the term ends; the rows stay
	}
	m, more, err := w.claim(ctx, c)
	ctx = trace.Into(ctx, m.Trace)
	if err != nil || m.ID == 0 {
		return more, trace.Mark(ctx, err)
	}
	if err := w.term.Check(); err != nil {
		return false, err
	}
	start := time.Now()
	receipt, sendErr := w.send(ctx, m)
	took := time.Since(start)
	end, err := w.record(ctx, m, receipt, sendErr)
	if err == nil {
		w.metrics.attempted(m, end, took)
	}
	return more, trace.Mark(ctx, err)
}

// send turns a panic of the Sender into an error, for it says something about
// this message only. Whether the message went out is unknown then.
func (w *Worker) send(ctx context.Context, m Message) (receipt Receipt, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("sender panicked: %v", r)
		}
	}()
	return w.sender.Send(ctx, m)
}

// claim commits the intention to send before anything is sent, and reports
// whether more messages wait behind this one. A message that an earlier term,
// or an earlier attempt of this one, had claimed and not recorded may have been
// sent: its outcome is unknown, and it is settled here (m.ID is then 0).
func (w *Worker) claim(ctx context.Context, c Chat) (m Message, more bool, err error) {
	var abandoned int64
	err = w.term.InTx(ctx, w.pool, func(tx pgx.Tx) error {
		m, abandoned = Message{ChatID: c.ID, Urgent: c.Urgent}, 0
		var state string
		var claimed int64
		var waited float64
		err := tx.QueryRow(ctx, sqlNext, c.ID, c.Urgent).Scan(&m.ID, &m.Key, &m.Kind, &m.Args, &state, &m.Attempts, &claimed, &m.Trace, &waited, &more)
		if pg.IsNoRows(err) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read the next message: %w", err)
		}
		m.waited = time.Duration(waited * float64(time.Second))
		if state == "sending" && !w.sender.Repeatable(m.Kind) {
			err := w.end(trace.Into(ctx, m.Trace), tx, m, claimed, Unknown, nil, errors.New("the sender ended before it knew the outcome"))
			abandoned = m.ID
			m.ID = 0
			return err
		}
		m.Attempts++
		_, err = tx.Exec(ctx, sqlClaim, m.ID, w.term.Epoch())
		return err
	})
	if err == nil && abandoned != 0 {
		w.metrics.ended(m, Unknown)
	}
	return m, more, err
}

const (
	maxAttempts = 8 // bounds repetitions of what Telegram neither takes nor refuses
	maxSettles  = 4 // bounds those of a Settle that fails, within a term
)

// record writes down what became of an attempt, and returns how the message
// ended, "" when it is tried again.
func (w *Worker) record(ctx context.Context, m Message, receipt Receipt, cause error) (end State, err error) {
	end, wait := w.judge(m, cause)
	err = w.term.InTx(ctx, w.pool, func(tx pgx.Tx) error {
		if end != "" {
			return w.end(ctx, tx, m, w.term.Epoch(), end, receipt, cause)
		}
		_, err := tx.Exec(ctx, sqlPostpone, m.ID, pg.Storable(cause), wait.Milliseconds(), w.term.Epoch())
		return err
	})
	w.say(ctx, m, end, wait, cause)
	if err != nil {
		return end, fmt.Errorf("record message %d: %w", m.ID, err)
	}
	return end, nil
}

// say logs what became of an attempt. A message that is tried again is no trouble yet.
func (w *Worker) say(ctx context.Context, m Message, end State, wait time.Duration, cause error) {
	args := []any{"outbox_id", m.ID, "kind", m.Kind, "chat_id", m.ChatID, "attempt", m.Attempts}
	switch {
	case cause == nil:
		w.log.DebugContext(ctx, "message sent", args...)
	case end == "":
		w.log.WarnContext(ctx, "message not sent", append(args, "next_try", wait.String(), "error", cause.Error())...)
	default:
		w.log.WarnContext(ctx, "message not sent", append(args, "outcome", end, "error", cause.Error())...)
	}
}

// judge returns how a message ended, or how long to wait before the next attempt.
func (w *Worker) judge(m Message, cause error) (end State, wait time.Duration) {
	if cause == nil {
		return Sent, 0
	}
	if errors.Is(cause, ErrUnsendable) {
		return Refused, 0
	}
	if after := telegram.RetryAfter(cause); after > 0 {
		return "", after
	}
	pause := time.Duration(1<<min(m.Attempts, 7)) * 500 * time.Millisecond
	switch telegram.OutcomeOf(cause) {
	case telegram.NotSent:
		return "", pause // nothing happened; an outage ends some time
	case telegram.Unknown:
		if w.sender.Repeatable(m.Kind) && m.Attempts < maxAttempts {
			return "", pause
		}
		return Unknown, 0
	case telegram.Refused, telegram.Done:
	}
	return Refused, 0
}

func (w *Worker) end(ctx context.Context, tx pgx.Tx, m Message, epoch int64, end State, receipt Receipt, cause error) error {
	hopeless := w.settleFailures(m.ID) >= maxSettles
	if hopeless {
		cause = errors.Join(cause, errUnsettled)
	}
	tag, err := tx.Exec(ctx, sqlSettle, m.ID, end, pg.Storable(cause), epoch)
	if err != nil {
		return fmt.Errorf("settle message %d: %w", m.ID, err)
	}
	if tag.RowsAffected() != 1 {
		return nil // settled before
	}
	if hopeless {
		w.log.Error("message ended without what follows from it", "outbox_id", m.ID, "kind", m.Kind, "end", string(end))
		return nil
	}
	err = w.settle(ctx, tx, m, end, receipt, cause)
	if err != nil && ctx.Err() == nil && (!pg.IsPassing(err) || pg.IsTimeLimit(err)) {
		w.settleFailed(m.ID)
	}
	return err
}

// errUnsettled is kept with a message that was given up. The lane must go on, and
// a repeatable message must not be sent again for ever.
var errUnsettled = errors.New("what follows from the message could not be recorded")

// settle turns a panic of the Sender into an error, as send does.
func (w *Worker) settle(ctx context.Context, tx pgx.Tx, m Message, end State, receipt Receipt, cause error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("sender panicked: %v", r)
		}
	}()
	return w.sender.Settle(ctx, tx, m, end, receipt, cause)
}

func (w *Worker) settleFailures(id int64) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.unsettled[id]
}

func (w *Worker) settleFailed(id int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.unsettled[id]++
}
