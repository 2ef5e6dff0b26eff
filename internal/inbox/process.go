package inbox

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"kiosk/internal/lane"
	"kiosk/internal/pg"
	"kiosk/internal/trace"
	"kiosk/singleton"
)

// Handler understands the messages of one source.
type Handler struct {
	// Handle applies a message within tx and calls nobody outside the database.
	// An error rolls everything back, and the message is tried again later. The
	// context carries the message's trace.
	Handle func(ctx context.Context, tx pgx.Tx, m Message) error

	// SetAside, which may be nil, runs in the transaction that gives a message
	// up after its last attempt: the place to tell the person who waits.
	SetAside func(ctx context.Context, tx pgx.Tx, m Message) error

	// Handled, which may be nil, is called after each commit: the place to wake
	// those for whom the handler has left work.
	Handled func()
}

// Processor hands stored messages of one source to their handler, on the ACTIVE
// instance only.
type Processor struct {
	source  string
	pool    *pgxpool.Pool
	handler Handler
	log     *slog.Logger
	metrics *Metrics
	runner  *lane.Runner[string]
	term    *singleton.Term
}

// NewProcessor returns the processor of one source for one term.
func NewProcessor(source string, pool *pgxpool.Pool, term *singleton.Term, h Handler, log *slog.Logger, m *Metrics) (*Processor, error) {
	if source == "" || pool == nil || term == nil || h.Handle == nil || log == nil || m == nil {
		return nil, errors.New("inbox: a processor needs source, pool, term, handler, log and metrics")
	}
	if h.Handled == nil {
		h.Handled = func() {}
	}
	p := &Processor{source: source, pool: pool, handler: h, log: log, metrics: m, term: term}
	runner, err := lane.New(lane.Config[string]{
		Name: "inbox." + source, Workers: 8, Poll: time.Second, Due: p.due, Work: p.work, Log: log, Metrics: m.Lane,
	})
	p.runner = runner
	return p, err
}

// Wake says that a message was stored.
func (p *Processor) Wake() { p.runner.Wake() }

// Run works until ctx ends and the messages under way are done.
func (p *Processor) Run(ctx context.Context) { p.runner.Run(ctx, p.term.Context()) }

func (p *Processor) due(ctx context.Context, busy []string, limit int) ([]lane.Due[string], error) {
	rows, err := p.pool.Query(ctx, sqlLanesDue, p.source, busy, limit)
	if err != nil {
		return nil, fmt.Errorf("list waiting lanes: %w", err)
	}
	return pgx.CollectRows(rows, pgx.RowToStructByPos[lane.Due[string]])
}

// work handles the lane's first message and tells the lock that work goes on.
func (p *Processor) work(ctx context.Context, laneName string) (more bool, err error) {
	if more, err = p.next(ctx, laneName); err == nil {
		p.term.Progress()
	}
	return more, err
}

// next handles the lane's first message.
func (p *Processor) next(ctx context.Context, laneName string) (more bool, err error) {
	var m Message
	start := time.Now()
	err = p.term.InTx(ctx, p.pool, func(tx pgx.Tx) error {
		m = Message{Source: p.source, Lane: laneName}
		var due bool
		var waited float64
		err := tx.QueryRow(ctx, sqlNext, p.source, laneName).Scan(&m.ID, &m.Key, &m.Body, &m.Attempts, &m.Trace, &due, &waited)
		if pg.IsNoRows(err) || err == nil && !due {
			more, m.ID = false, 0
			return nil
		}
		if err != nil {
			return fmt.Errorf("read the next message: %w", err)
		}
		more, m.waited = true, time.Duration(waited*float64(time.Second))
		if err := protect(trace.Into(ctx, m.Trace), tx, m, p.handler.Handle); err != nil {
			return err
		}
		_, err = tx.Exec(ctx, sqlDone, m.ID)
		return err
	})
	ctx = trace.Into(ctx, m.Trace)
	outcome := handledDone
	if err != nil {
		outcome = handledInterrupted
	}
	if err != nil && m.ID != 0 && !passing(ctx, err) {
		more = true
		outcome, err = p.failed(ctx, m, err)
	}
	if m.ID != 0 {
		p.metrics.attempted(m, start, outcome)
	}
	if outcome == handledDone && m.ID != 0 {
		p.log.DebugContext(ctx, "message handled", "source", m.Source, "key", m.Key, "lane", m.Lane,
			"duration", (m.waited + time.Since(start)).Round(time.Millisecond).String())
	}
	if err == nil {
		p.handler.Handled()
	}
	return more, trace.Mark(ctx, err)
}

// protect turns a panic of the handler into an error, for it says something about
// this message only.
func protect(ctx context.Context, tx pgx.Tx, m Message, part func(context.Context, pgx.Tx, Message) error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("handler panicked: %v", r)
		}
	}()
	return part(ctx, tx, m)
}

// passing reports that an attempt failed for a reason that says nothing about
// the message: the term or the process ends, or the database is not there. A
// handler that is too slow may be so every time.
func passing(ctx context.Context, err error) bool {
	if ctx.Err() != nil || errors.Is(err, singleton.ErrFenced) || errors.Is(err, singleton.ErrLost) || errors.Is(err, singleton.ErrReleased) {
		return true
	}
	return pg.IsPassing(err) && !pg.IsTimeLimit(err)
}

// failed records a failed attempt, or sets the message aside after the last. It
// returns the outcome to count.
func (p *Processor) failed(ctx context.Context, m Message, cause error) (outcome string, err error) {
	p.log.ErrorContext(ctx, "message failed", "source", m.Source, "message_id", m.ID, "key", m.Key, "lane", m.Lane,
		"attempt", m.Attempts+1, "error", cause.Error())
	outcome = handledFailed
	err = p.term.InTx(ctx, p.pool, func(tx pgx.Tx) error {
		var state string
		err := tx.QueryRow(ctx, sqlFailed, m.ID, pg.Storable(cause), maxAttempts, backoff(m.Attempts).Milliseconds()).Scan(&state)
		if err != nil {
			return fmt.Errorf("record the failed attempt: %w", err)
		}
		if state != "failed" {
			return nil
		}
		outcome = handledSetAside
		if p.handler.SetAside == nil {
			return nil
		}
		return protect(ctx, tx, m, p.handler.SetAside)
	})
	return outcome, err
}

// Stats is the inbox as health reports it.
type Stats struct {
	Pending       int64   `json:"pending"`
	OldestSeconds float64 `json:"oldest_seconds"`
	LateSeconds   float64 `json:"late_seconds"` // how long the longest overdue one has been due
	Failed        int64   `json:"failed"`
	FailedRecent  int64   `json:"failed_last_hour"`
	Undecodable   int64   `json:"undecodable"`
}

// ReadStats counts what waits and what was set aside.
func ReadStats(ctx context.Context, db pg.DB) (Stats, error) {
	var s Stats
	if err := db.QueryRow(ctx, sqlStats).Scan(&s.Pending, &s.OldestSeconds, &s.LateSeconds, &s.Failed, &s.FailedRecent, &s.Undecodable); err != nil {
		return s, fmt.Errorf("count the inbox: %w", err)
	}
	return s, nil
}

// Listen calls wake whenever any instance has stored a message. It reconnects
// by itself and ends with ctx; while it cannot listen, polling goes on.
func Listen(ctx context.Context, pool *pgxpool.Pool, wake func(), log *slog.Logger) {
	for ctx.Err() == nil {
		if err := listen(ctx, pool, wake); err != nil && ctx.Err() == nil {
			log.WarnContext(ctx, "not told of stored messages, polling instead", "error", err.Error())
			select {
			case <-ctx.Done():
			case <-time.After(5 * time.Second):
			}
		}
	}
}

func listen(ctx context.Context, pool *pgxpool.Pool, wake func()) error {
	pooled, err := pool.Acquire(ctx)
	if err != nil {
		return fmt.Errorf("get a connection: %w", err)
	}
	conn := pooled.Hijack() // a listening session must not serve anybody else
	defer conn.Close(context.WithoutCancel(ctx))
	if _, err := conn.Exec(ctx, sqlListen); err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	wake()
	for {
		if _, err := conn.WaitForNotification(ctx); err != nil {
			return fmt.Errorf("wait for a notification: %w", err)
		}
		wake()
	}
}
