// Package sweep clears what can be left behind: rows whose time is over, and
// work that nobody will come back to.
//
// The rooms that own the rows declare their sweeps; the wiring registers them;
// the Runner runs each at its interval on the ACTIVE instance. A sweep works in
// bounded batches, each in one fenced transaction, so it holds no lock for long
// and a former holder of the singleton clears nothing. It is idempotent: a
// second run finds nothing. A run that finds nothing says nothing.
//
// The package knows no table and stores nothing.
package sweep

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"kiosk/singleton"
)

// Limit is how many rows one batch may take.
const Limit = 500

// Found is what one batch came upon.
type Found struct {
	Count    int
	More     bool     // another batch may find more
	Subjects []string // ids to look for, where they help; a few are logged
}

// Sweep is one kind of leftover.
type Sweep struct {
	Name  string // room.thing, as logs and metrics call it
	Every time.Duration

	// Batch clears at most Limit rows within tx and calls nobody outside the
	// database.
	Batch func(ctx context.Context, tx pgx.Tx) (Found, error)

	// Defect, if set, says that Batch changes nothing and that what it finds must
	// not be there: the line is an error with this remedy.
	Defect string
}

// Statement makes a batch of one statement, whose first parameter is Limit and
// which changes at most so many rows.
func Statement(sql string, args ...any) func(context.Context, pgx.Tx) (Found, error) {
	args = append([]any{Limit}, args...)
	return func(ctx context.Context, tx pgx.Tx) (Found, error) {
		tag, err := tx.Exec(ctx, sql, args...)
		n := int(tag.RowsAffected())
		return Found{Count: n, More: n >= Limit}, err
	}
}

// Config describes a Runner. All fields are required but Settle.
type Config struct {
	Term   *singleton.Term
	Pool   singleton.Beginner
	Sweeps []Sweep
	Count  func(name string, n int) // after each run, also of one that found nothing
	Log    *slog.Logger

	// Settle is how long a new term works before its first sweep: what looks
	// left behind may only have waited for it. 0 means a minute.
	Settle time.Duration
}

// Runner runs sweeps during one term.
type Runner struct{ cfg Config }

// New checks the configuration.
func New(cfg Config) (*Runner, error) {
	if cfg.Term == nil || cfg.Pool == nil || cfg.Count == nil || cfg.Log == nil {
		return nil, errors.New("sweep: term, pool, count and log are required")
	}
	for _, s := range cfg.Sweeps {
		if s.Name == "" || s.Every <= 0 || s.Batch == nil {
			return nil, errors.New("sweep: a sweep needs a name, an interval and a batch")
		}
	}
	if cfg.Settle == 0 {
		cfg.Settle = time.Minute
	}
	return &Runner{cfg}, nil
}

// Run sweeps until ctx ends, one sweep at a time. A batch under way is finished.
func (r *Runner) Run(ctx context.Context) {
	due := make([]time.Time, len(r.cfg.Sweeps))
	for i := range due {
		due[i] = time.Now().Add(r.cfg.Settle)
	}
	for len(due) > 0 && wait(ctx, slices.MinFunc(due, time.Time.Compare)) {
		for i, s := range r.cfg.Sweeps {
			if ctx.Err() == nil && !time.Now().Before(due[i]) {
				r.run(ctx, s)
				due[i] = time.Now().Add(s.Every)
			}
		}
	}
}

func wait(ctx context.Context, until time.Time) bool {
	t := time.NewTimer(time.Until(until))
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

func (r *Runner) run(ctx context.Context, s Sweep) {
	total, err := r.Once(ctx, s)
	r.cfg.Count(s.Name, total.Count)
	if total.Count > 0 {
		r.report(ctx, s, total)
	}
	if err != nil && r.cfg.Term.Check() == nil {
		r.cfg.Log.WarnContext(ctx, "sweep failed", "sweep", s.Name, "error", err.Error())
	}
}

const shown = 5 // subjects in a line

func (r *Runner) report(ctx context.Context, s Sweep, f Found) {
	args := []any{"sweep", s.Name, "count", f.Count}
	if len(f.Subjects) > 0 {
		args = append(args, "subjects", f.Subjects[:min(len(f.Subjects), shown)])
	}
	if s.Defect != "" {
		r.cfg.Log.ErrorContext(ctx, "defect found", append(args, "remedy", s.Defect)...)
		return
	}
	r.cfg.Log.InfoContext(ctx, "swept", args...)
}

// Once runs one sweep batch by batch until nothing is left, ctx ends or an error
// stops it, and returns what all batches found.
func (r *Runner) Once(ctx context.Context, s Sweep) (Found, error) {
	total := Found{More: true}
	for total.More && ctx.Err() == nil {
		var f Found
		err := r.cfg.Term.InTx(r.cfg.Term.Context(), r.cfg.Pool, func(tx pgx.Tx) (err error) {
			f, err = s.Batch(r.cfg.Term.Context(), tx)
			return err
		})
		if err != nil {
			return total, err
		}
		total.Count, total.More = total.Count+f.Count, f.More
		total.Subjects = append(total.Subjects, f.Subjects...)
	}
	return total, nil
}
