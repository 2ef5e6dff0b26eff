package generation

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"kiosk/internal/provider"
)

// poll asks the provider what became of a running generation (station 7). A
// callback only makes it happen sooner.
func (w *Worker) poll(ctx context.Context, g Generation) error {
	m, err := w.Catalog.Get(g.Model)
	if err != nil {
		return w.fail(ctx, g.ID, Expired, provider.BadInput, err.Error())
	}
	task, err := w.Providers[m.Provider].Fetch(ctx, g.taskID)
	if err != nil {
		return w.notFetched(ctx, g, provider.AsError(err))
	}
	switch task.State {
	case provider.Succeeded:
		return w.finish(ctx, g.ID, task)
	case provider.Failed:
		return w.fail(ctx, g.ID, Broke, task.Cause, task.Message)
	case provider.Queued, provider.Running:
	}
	return w.wait(ctx, g, task.State)
}

// wait sets the next poll and lets the person see that work goes on.
func (w *Worker) wait(ctx context.Context, g Generation, s provider.State) error {
	if seconds(g.submitAge) > w.Limits.RunningFor {
		return w.fail(ctx, g.ID, Expired, provider.NoAnswer, "the provider did not finish in time")
	}
	return w.locked(ctx, g.ID, func(tx pgx.Tx, g Generation) error {
		if _, err := tx.Exec(ctx, sqlPostpone, g.ID, pollAfter(seconds(g.submitAge), w.Limits.FirstPoll).Milliseconds()); err != nil {
			return err
		}
		if s != provider.Running {
			return nil
		}
		if err := act(ctx, tx, g); err != nil {
			return err
		}
		return tell(ctx, tx, g, StageRunning)
	})
}

// notFetched goes on looking: a read has no effect, and a task is not visible
// for some time after its creation.
func (w *Worker) notFetched(ctx context.Context, g Generation, e *provider.Error) error {
	w.Log.WarnContext(ctx, "task not read", "generation_id", g.ID, "cause", e.Cause, "code", e.Code, "error", e.OurWords())
	if seconds(g.submitAge) > w.Limits.RunningFor {
		return w.fail(ctx, g.ID, Expired, provider.NoAnswer, "the provider did not say in time what became of it")
	}
	pause := pollAfter(seconds(g.submitAge), w.Limits.FirstPoll)
	return w.postpone(ctx, g.ID, max(e.After, pause))
}

// pollAfter follows the provider's advice: every 2-3 s at first, then 5-10 s up
// to two minutes, then 15-30 s; and a slow sweep for what takes very long.
func pollAfter(age, first time.Duration) time.Duration {
	switch {
	case age < 30*time.Second:
		return first
	case age < 2*time.Minute:
		return 3 * first
	case age < 15*time.Minute:
		return 8 * first
	}
	return 24 * first
}
