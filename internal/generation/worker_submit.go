package generation

import (
	"context"
	"maps"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"kiosk/internal/catalog"
	"kiosk/internal/provider"
)

// submitSlack is how much longer than its call a submission may take to be recorded.
const submitSlack = 15 * time.Second

// submit sends a held generation to its provider (station 6): the intention is
// committed, then the call is made, then its outcome is committed.
func (w *Worker) submit(ctx context.Context, g Generation) error {
	if seconds(g.age) > w.Limits.HeldFor {
		return w.fail(ctx, g.ID, Expired, provider.Unreachable, "the provider took no submission in time")
	}
	m, body, err := w.request(ctx, g)
	if err != nil {
		return w.notPrepared(ctx, g, err)
	}
	err = w.locked(ctx, g.ID, func(tx pgx.Tx, g Generation) error {
		return w.move(ctx, tx, g, Submit, change{due: w.Limits.SubmitTimeout + submitSlack})
	})
	if err != nil {
		return err
	}
	w.Metrics.submitted(g)
	w.milestone(ctx, "generation submitting", g, Submitting, "attempt", g.attempts+1)
	if err := w.term.Check(); err != nil {
		return err
	}
	call, cancel := context.WithTimeout(ctx, w.Limits.SubmitTimeout)
	defer cancel()
	taskID, err := w.Providers[m.Provider].Submit(call, provider.Request{
		Model: m.ID, Input: body, Callback: w.CallbackURL(g.ID),
	})
	if err != nil {
		return w.notAccepted(ctx, g, provider.AsError(err))
	}
	return w.accepted(ctx, g.ID, taskID)
}

// request builds the provider's input from the stored order. Files that the
// person sent are uploaded first; uploading again after a crash does no harm.
func (w *Worker) request(ctx context.Context, g Generation) (*catalog.Model, map[string]any, error) {
	m, err := w.Catalog.Get(g.Model)
	if err != nil {
		return nil, nil, &provider.Error{Cause: provider.BadInput, Message: err.Error()}
	}
	values := maps.Clone(g.Params)
	for _, in := range m.Inputs {
		if !in.Type.IsFile() || values[in.Name] == "" {
			continue
		}
		var urls []string
		for _, reference := range catalog.Files(values[in.Name]) {
			url, err := w.upload(ctx, m, reference)
			if err != nil {
				return nil, nil, err
			}
			urls = append(urls, url)
		}
		values[in.Name] = strings.Join(urls, "\n")
	}
	body, err := m.Request(values)
	if err != nil {
		return nil, nil, &provider.Error{Cause: provider.BadInput, Message: err.Error()}
	}
	return m, body, nil
}

func (w *Worker) upload(ctx context.Context, m *catalog.Model, reference string) (string, error) {
	file, err := w.OpenFile(ctx, reference)
	if err != nil {
		return "", err
	}
	defer file.Body.Close()
	return w.Providers[m.Provider].Upload(ctx, file.Name, file.Body)
}

// notPrepared puts off an order whose files could not be passed on yet; nothing
// was submitted. What will never work fails.
func (w *Worker) notPrepared(ctx context.Context, g Generation, err error) error {
	e := provider.AsError(err)
	w.Log.WarnContext(ctx, "order not prepared", "generation_id", g.ID, "cause", e.Cause, "code", e.Code, "error", e.OurWords())
	if e.Outcome == provider.Unknown || e.After > 0 {
		return w.postpone(ctx, g.ID, max(e.After, 5*time.Second))
	}
	return w.fail(ctx, g.ID, Refused, e.Cause, e.Message)
}

func (w *Worker) accepted(ctx context.Context, id ID, taskID string) error {
	var taken Generation
	err := w.locked(ctx, id, func(tx pgx.Tx, g Generation) error {
		taken = g
		if err := w.move(ctx, tx, g, Accepted, change{taskID: taskID, due: w.Limits.FirstPoll}); err != nil {
			return err
		}
		if err := act(ctx, tx, g); err != nil {
			return err
		}
		return tell(ctx, tx, g, StageSubmitted)
	})
	if err == nil {
		w.Metrics.took(phaseSubmitting, taken.submitAge)
		w.milestone(ctx, "generation accepted", taken, Running, "task_id", taskID)
	}
	return err
}

func (w *Worker) notAccepted(ctx context.Context, g Generation, e *provider.Error) error {
	w.Log.WarnContext(ctx, "submission not accepted", "generation_id", g.ID, "cause", e.Cause, "code", e.Code, "error", e.OurWords())
	if e.Outcome == provider.Unknown {
		return w.lost(ctx, g, string(e.Cause)+": "+e.Message)
	}
	if e.After > 0 {
		return w.locked(ctx, g.ID, func(tx pgx.Tx, g Generation) error {
			return w.move(ctx, tx, g, Deferred, change{due: max(e.After, backoff(g.attempts)), detail: string(e.Cause)})
		})
	}
	return w.fail(ctx, g.ID, Refused, e.Cause, e.Message)
}

// backoff spreads the repetitions of a submission that the provider dropped.
func backoff(attempts int) time.Duration {
	return time.Duration(1<<min(attempts, 6)) * time.Second
}

// lost says that nobody knows whether a submission was accepted. It is never
// repeated: the callback, which carries our id, resolves it, or time does.
func (w *Worker) lost(ctx context.Context, g Generation, detail string) error {
	w.Log.WarnContext(ctx, "submission's answer lost", "generation_id", g.ID, "user_id", int64(g.UserID), "model", g.Model, "state", Unknown)
	err := w.locked(ctx, g.ID, func(tx pgx.Tx, g Generation) error {
		wait := w.Limits.UnknownFor
		if g.taskHint != "" {
			wait = 0
		}
		return w.move(ctx, tx, g, Lost, change{due: wait, detail: detail})
	})
	if err == nil {
		w.Metrics.lost.Inc()
	}
	return err
}

// resolve looks at a generation whose submission was lost: a task that a
// callback named and the provider knows is adopted; after the grace it failed.
func (w *Worker) resolve(ctx context.Context, g Generation) error {
	if g.taskHint != "" {
		m, err := w.Catalog.Get(g.Model)
		if err != nil {
			return w.fail(ctx, g.ID, Expired, provider.BadInput, err.Error())
		}
		_, err = w.Providers[m.Provider].Fetch(ctx, g.taskHint)
		if err == nil {
			err := w.locked(ctx, g.ID, func(tx pgx.Tx, g Generation) error {
				return w.move(ctx, tx, g, Adopted, change{taskID: g.taskHint, detail: "named by its callback"})
			})
			if err == nil {
				w.milestone(ctx, "generation adopted", g, Running, "task_id", g.taskHint)
			}
			return err
		}
		e := provider.AsError(err)
		w.Log.WarnContext(ctx, "callback's task not confirmed", "generation_id", g.ID, "cause", e.Cause, "code", e.Code, "error", e.OurWords())
	}
	left := w.Limits.UnknownFor - seconds(g.submitAge)
	if left <= 0 {
		return w.fail(ctx, g.ID, Expired, provider.NoAnswer, "no callback came within the grace")
	}
	if g.taskHint != "" {
		left = min(left, 10*time.Second)
	}
	return w.postpone(ctx, g.ID, left)
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }
