package generation

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"go.opentelemetry.io/otel/attribute"

	"kiosk/internal/lane"
	"kiosk/internal/provider"
	"kiosk/internal/trace"
	"kiosk/singleton"
)

// Worker brings generations forward during one term.
type Worker struct {
	*Service
	term   *singleton.Term
	added  func() // an outbox message was added
	runner *lane.Runner[ID]
}

// NewWorker returns the worker of one term. added is called after every commit
// that may have added an outbox message.
func NewWorker(s *Service, term *singleton.Term, added func()) (*Worker, error) {
	if s == nil || term == nil || added == nil {
		return nil, errors.New("generation: a worker needs service, term and a way to wake the outbox")
	}
	w := &Worker{Service: s, term: term, added: added}
	runner, err := lane.New(lane.Config[ID]{
		Name: "generation", Workers: 64, Poll: time.Second, Due: w.dueNow, Work: w.work, Log: s.Log, Metrics: s.Metrics.Lane,
	})
	w.runner = runner
	return w, err
}

// Wake says that a generation may be due.
func (w *Worker) Wake() { w.runner.Wake() }

// Run works until ctx ends and the steps under way are recorded.
func (w *Worker) Run(ctx context.Context) { w.runner.Run(ctx, w.term.Context()) }

func (w *Worker) dueNow(ctx context.Context, busy []ID, limit int) ([]lane.Due[ID], error) {
	rows, err := w.Pool.Query(ctx, sqlDue, busy, w.term.Epoch(), limit, w.term.Barrier() > 0)
	if err != nil {
		return nil, fmt.Errorf("list due generations: %w", err)
	}
	return pgx.CollectRows(rows, pgx.RowToStructByPos[lane.Due[ID]])
}

// work does a generation's next step and tells the lock that work goes on.
func (w *Worker) work(ctx context.Context, id ID) (more bool, err error) {
	if more, err = w.step(ctx, id); err == nil {
		w.term.Progress()
	}
	return more, err
}

// step does what a generation's state calls for.
func (w *Worker) step(ctx context.Context, id ID) (more bool, err error) {
	ctx = trace.Into(ctx, id)
	defer func() { err = trace.Mark(ctx, err) }()
	g, err := Get(ctx, w.Pool, id)
	if err != nil {
		return false, err
	}
	orphan := g.State == Submitting && g.claimEpoch < w.term.Epoch()
	if g.State.Final() || !g.due && !orphan {
		return false, nil
	}
	defer w.added()
	ctx, span := w.Tracer.Start(ctx, "generation "+string(g.State), trace.With(
		attribute.String("generation_id", id.String()), attribute.Int64("user_id", int64(g.UserID)), attribute.String("model", g.Model)))
	defer span.End()
	switch g.State {
	case Held:
		return true, w.submit(ctx, g)
	case Submitting:
		return true, w.lost(ctx, g, "the worker ended before it knew the outcome")
	case Unknown:
		return true, w.resolve(ctx, g)
	case Running:
		return true, w.poll(ctx, g)
	case Succeeded, Failed:
	}
	return false, nil
}

// change is what a transition writes besides the state.
type change struct {
	cause  string
	taskID string
	due    time.Duration // until the next step
	detail string        // for the history; never a prompt or a key
}

// move makes one transition and its line in the history.
func (w *Worker) move(ctx context.Context, tx pgx.Tx, g Generation, event Event, c change) error {
	to, err := Next(g.State, event)
	if err != nil {
		return err
	}
	tag, err := tx.Exec(ctx, sqlMove, g.ID, g.State, to, c.cause, c.taskID, w.term.Epoch(), c.due.Milliseconds(), event, c.detail)
	if err != nil {
		return fmt.Errorf("move generation %s to %s: %w", g.ID, to, err)
	}
	if tag.RowsAffected() != 1 {
		return &TransitionError{From: g.State, Event: event}
	}
	return nil
}

// locked locks a generation and runs fn on its present row in a fenced
// transaction. A generation that is over is left alone.
func (w *Worker) locked(ctx context.Context, id ID, fn func(pgx.Tx, Generation) error) error {
	return w.term.InTx(ctx, w.Pool, func(tx pgx.Tx) error {
		g, err := scan(tx.QueryRow(ctx, sqlLock, id))
		if err != nil {
			return fmt.Errorf("lock generation %s: %w", id, err)
		}
		if g.State.Final() {
			return nil
		}
		return fn(tx, g)
	})
}

func (w *Worker) postpone(ctx context.Context, id ID, d time.Duration) error {
	return w.locked(ctx, id, func(tx pgx.Tx, _ Generation) error {
		_, err := tx.Exec(ctx, sqlPostpone, id, d.Milliseconds())
		return err
	})
}

// fail ends a generation: the hold is released and the person told, in the same
// transaction.
// The provider's own words go into the history only: they may quote the person's.
func (w *Worker) fail(ctx context.Context, id ID, event Event, cause provider.Cause, detail string) error {
	var was Generation
	err := w.locked(ctx, id, func(tx pgx.Tx, g Generation) error {
		was = g
		if err := w.move(ctx, tx, g, event, change{cause: string(cause), detail: detail}); err != nil {
			return err
		}
		if err := w.Ledger.Release(ctx, tx, holdKey(id), string(cause)); err != nil {
			return err
		}
		if err := tell(ctx, tx, g, StageFailed); err != nil {
			return err
		}
		return announce(ctx, tx, g, KindFailed)
	})
	if err == nil && was.ID == id {
		w.Metrics.ended(was, Failed, string(cause))
		w.milestone(ctx, "generation failed", was, Failed, "cause", cause, "event", event)
	}
	return err
}

// finish ends a generation well: results, capture and delivery in one transaction.
func (w *Worker) finish(ctx context.Context, id ID, task provider.Task) error {
	var was Generation
	err := w.locked(ctx, id, func(tx pgx.Tx, g Generation) error {
		was = g
		if err := w.move(ctx, tx, g, Finished, change{}); err != nil {
			return err
		}
		kind := "file"
		if m := w.Catalog.Find(g.Model); m != nil {
			kind = m.ResultKind()
		}
		for i, url := range task.Results {
			if _, err := tx.Exec(ctx, sqlResultAdd, id, i, kind, url); err != nil {
				return fmt.Errorf("store result %d of %s: %w", i, id, err)
			}
		}
		if err := w.Ledger.Capture(ctx, tx, holdKey(id), g.Price, g.Model); err != nil {
			return err
		}
		if err := tell(ctx, tx, g, StageDone); err != nil {
			return err
		}
		return announce(ctx, tx, g, KindResult)
	})
	if err == nil && was.ID == id {
		w.Metrics.ended(was, Succeeded, "")
		w.milestone(ctx, "generation succeeded", was, Succeeded, "results", len(task.Results))
	}
	return err
}

// milestone logs that a generation has come to a state, and how long after its
// order. A generation that was over before is no news.
func (w *Worker) milestone(ctx context.Context, message string, g Generation, now State, more ...any) {
	if g.ID == uuid.Nil {
		return
	}
	w.Log.InfoContext(ctx, message, append([]any{
		"generation_id", g.ID, "user_id", int64(g.UserID), "model", g.Model, "state", now,
		"duration", seconds(g.age).Round(time.Millisecond).String(),
	}, more...)...)
}
