package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/spf13/cobra"

	"kiosk/internal/app"
	"kiosk/singleton"
)

func lockCommand() *cobra.Command {
	c := &cobra.Command{Use: "lock", Short: "Who is ACTIVE; its past; hand over; break glass", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() }}
	c.AddCommand(lockStatusCommand(), lockWatchCommand(), lockHistoryCommand(), lockStepDownCommand(), lockTakeoverCommand())
	return c
}

// lockDatabase opens the lock's own database.
func lockDatabase(ctx context.Context) (*pgx.Conn, func(), error) {
	cfg, err := config()
	if err != nil {
		return nil, nil, err
	}
	pgCfg, err := pgx.ParseConfig(cfg.LockDatabase())
	if err != nil {
		return nil, nil, fmt.Errorf("read the database URL: %w", err)
	}
	pgCfg.ConnectTimeout = 5 * time.Second
	pgCfg.DefaultQueryExecMode = pgx.QueryExecModeExec // works through poolers, too
	conn, err := pgx.ConnectConfig(ctx, pgCfg)
	if err != nil {
		return nil, nil, fmt.Errorf("reach the lock's database on %s: %w; check LOCK_DATABASE_URL or DATABASE_URL", pgCfg.Host, err)
	}
	return conn, func() { _ = conn.Close(context.WithoutCancel(ctx)) }, nil
}

// lockAdvice turns what the lock refuses with into what to do.
func lockAdvice(err error) error {
	switch {
	case errors.Is(err, singleton.ErrUnknownLock):
		return fmt.Errorf("%w; has `kiosk serve` ever run on this database?", err)
	case errors.Is(err, singleton.ErrNotHeld):
		return fmt.Errorf("%w; start an instance with `kiosk serve`", err)
	case errors.Is(err, singleton.ErrOtherHolder):
		return fmt.Errorf("%w; see `kiosk lock status`", err)
	}
	return err
}

func lockStatusCommand() *cobra.Command {
	c := &cobra.Command{Use: "status", Short: "Show the ACTIVE instance; exit code 1 when there is none", Args: cobra.NoArgs}
	asJSON := jsonFlag(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		db, done, err := lockDatabase(c.Context())
		if err != nil {
			return err
		}
		defer done()
		h, err := singleton.ReadHolding(c.Context(), db, app.LockName)
		if err != nil {
			return lockAdvice(err)
		}
		takeovers, err := singleton.ReadTakeovers(c.Context(), db, app.LockName)
		if err != nil {
			return err
		}
		if *asJSON {
			err = printJSON(c.OutOrStdout(), lockReport(h, takeovers))
		} else {
			err = printLock(c.OutOrStdout(), h, takeovers)
		}
		if err == nil && !h.Held {
			return lockAdvice(singleton.ErrNotHeld)
		}
		return err
	}
	return c
}

// lockJSON is `kiosk lock status --json`, in the terms of /health.
type lockJSON struct {
	State               string         `json:"state"` // ACTIVE or NONE
	Holder              string         `json:"holder"`
	Version             string         `json:"version"`
	Mode                singleton.Mode `json:"mode"`
	Epoch               int64          `json:"epoch"`
	HeldSeconds         float64        `json:"held_seconds"`
	HeartbeatAgeSeconds float64        `json:"heartbeat_age_seconds"`
	Progress            int64          `json:"progress"`
	Waiting             bool           `json:"waiting"`
	SteppingDown        bool           `json:"stepping_down"`
	Standbys            []string       `json:"standbys"`
	Takeovers           struct {
		Total     int64 `json:"total"`
		Heartbeat int64 `json:"heartbeat"`
		Idle      int64 `json:"idle"`
		Forced    int64 `json:"forced"`
	} `json:"takeovers"`
	LastTakeover *time.Time `json:"last_takeover"`
}

func lockReport(h singleton.Holding, t singleton.Takeovers) lockJSON {
	r := lockJSON{
		State: "NONE", Holder: h.Holder, Version: h.Version, Mode: h.Mode, Epoch: h.Epoch, Progress: h.Progress, Waiting: h.Waiting,
		HeldSeconds: h.Since.Seconds(), HeartbeatAgeSeconds: h.HeartbeatAge.Seconds(), SteppingDown: h.Asked,
		Standbys: h.Standbys, LastTakeover: t.Last,
	}
	if h.Held {
		r.State = "ACTIVE"
	}
	if r.Standbys == nil {
		r.Standbys = []string{}
	}
	r.Takeovers.Heartbeat, r.Takeovers.Idle, r.Takeovers.Forced = t.Heartbeat, t.Idle, t.Forced
	r.Takeovers.Total = t.Heartbeat + t.Idle + t.Forced
	return r
}

func printLock(out io.Writer, h singleton.Holding, t singleton.Takeovers) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	line := func(name, format string, args ...any) { fmt.Fprintf(w, "%s\t%s\n", name, fmt.Sprintf(format, args...)) }
	if h.Held {
		line("ACTIVE", "%s", h.Holder)
		line("since", "%s", h.Since.Round(time.Second))
		line("heartbeat", "%s ago, number %d", h.HeartbeatAge.Round(100*time.Millisecond), h.Beats)
	} else {
		line("ACTIVE", "nobody; the last was %s", h.Holder)
	}
	line("epoch", "%d", h.Epoch)
	line("mode", "%s", h.Mode)
	if h.Version != "" {
		line("version", "%s", h.Version)
	}
	if h.Waiting {
		line("work", "waits; %d pieces done in this term", h.Progress)
	} else {
		line("work", "none waits; %d pieces done in this term", h.Progress)
	}
	if h.Asked {
		line("asked", "to step down")
	}
	standbys := "none seen"
	if len(h.Standbys) > 0 {
		standbys = strings.Join(h.Standbys, ", ")
	}
	line("PASSIVE", "%s", standbys)
	last := "never"
	if t.Last != nil {
		last = t.Last.UTC().Format(time.DateTime) + " UTC"
	}
	line("takeovers", "%d (heartbeat %d, idle %d, forced %d); last: %s", t.Heartbeat+t.Idle+t.Forced, t.Heartbeat, t.Idle, t.Forced, last)
	return w.Flush()
}

func lockHistoryCommand() *cobra.Command {
	c := &cobra.Command{Use: "history", Short: "List what happened to the lock and why, newest first", Args: cobra.NoArgs}
	asJSON := jsonFlag(c)
	limit := c.Flags().Int("limit", 50, "at most so many lines")
	c.RunE = func(c *cobra.Command, _ []string) error {
		if *limit < 1 {
			return usageError{errors.New("--limit: want at least 1")}
		}
		db, done, err := lockDatabase(c.Context())
		if err != nil {
			return err
		}
		defer done()
		events, err := singleton.History(c.Context(), db, app.LockName, *limit)
		if err != nil {
			return err
		}
		if *asJSON {
			if events == nil {
				events = []singleton.Event{}
			}
			return printJSON(c.OutOrStdout(), events)
		}
		w := tabwriter.NewWriter(c.OutOrStdout(), 0, 0, 2, ' ', 0)
		fmt.Fprintln(w, "WHEN (UTC)\tWHAT\tEPOCH\tINSTANCE\tWHY")
		for _, e := range events {
			fmt.Fprintln(w, eventLine(e))
		}
		return w.Flush()
	}
	return c
}

func eventLine(e singleton.Event) string {
	return fmt.Sprintf("%s\t%s\t%d\t%s\t%s", e.At.UTC().Format("2006-01-02 15:04:05.000"), e.Kind, e.Epoch, e.Instance, e.Detail)
}

func lockWatchCommand() *cobra.Command {
	c := &cobra.Command{Use: "watch", Short: "Show the ACTIVE instance and each event as it happens, until Ctrl-C", Args: cobra.NoArgs}
	c.RunE = func(c *cobra.Command, _ []string) error {
		ctx := c.Context()
		db, done, err := lockDatabase(ctx)
		if err != nil {
			return err
		}
		defer done()
		err = watchLock(ctx, c.OutOrStdout(), db)
		if ctx.Err() != nil {
			return nil // Ctrl-C is how a watch ends
		}
		return err
	}
	return c
}

// watchLock prints a line whenever the lock has something new to tell.
func watchLock(ctx context.Context, out io.Writer, db *pgx.Conn) error {
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	var last time.Time
	var was string
	for ctx.Err() == nil {
		events, err := singleton.History(ctx, db, app.LockName, 20)
		if err != nil {
			return err
		}
		for _, e := range slices.Backward(events) {
			if e.At.After(last) && !last.IsZero() {
				fmt.Fprintln(out, eventLine(e))
			}
		}
		if len(events) > 0 {
			last = events[0].At
		} else {
			last = time.Unix(0, 1)
		}
		if was, err = watchHolding(ctx, out, db, was); err != nil {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
	}
	return nil
}

// watchHolding prints who is ACTIVE when that is another than before, or late.
func watchHolding(ctx context.Context, out io.Writer, db *pgx.Conn, was string) (string, error) {
	h, err := singleton.ReadHolding(ctx, db, app.LockName)
	if err != nil && !errors.Is(err, singleton.ErrUnknownLock) {
		return was, err
	}
	now := "nobody is ACTIVE"
	if h.Held {
		now = fmt.Sprintf("%s is ACTIVE, epoch %d, mode %s", h.Holder, h.Epoch, h.Mode)
		if h.HeartbeatAge > 5*time.Second {
			now += fmt.Sprintf(", its heartbeat is %s old", h.HeartbeatAge.Round(time.Second))
		}
	}
	if now != was {
		fmt.Fprintln(out, now)
	}
	return now, nil
}

func lockStepDownCommand() *cobra.Command {
	c := &cobra.Command{Use: "step-down", Short: "Ask the ACTIVE instance to finish its work and hand over", Args: cobra.NoArgs}
	instance := c.Flags().String("instance", "", "only if this one is ACTIVE")
	wait := c.Flags().Duration("wait", time.Minute, "how long to wait for the next ACTIVE instance")
	c.RunE = func(c *cobra.Command, _ []string) error {
		db, done, err := lockDatabase(c.Context())
		if err != nil {
			return err
		}
		defer done()
		epoch, err := singleton.StepDown(c.Context(), db, app.LockName, operator(), *instance)
		if err != nil {
			return lockAdvice(err)
		}
		return awaitSuccessor(c, db, epoch, *wait)
	}
	return c
}

func lockTakeoverCommand() *cobra.Command {
	c := &cobra.Command{Use: "takeover", Short: "Break glass: end the present term at once, whatever its holder does", Args: cobra.NoArgs}
	force := c.Flags().Bool("force", false, "required: acts of the holder outside the database may still be under way")
	wait := c.Flags().Duration("wait", time.Minute, "how long to wait for the next ACTIVE instance")
	c.RunE = func(c *cobra.Command, _ []string) error {
		if !*force {
			return usageError{errors.New("takeover ends the holder's term without asking it; try `kiosk lock step-down` first, or say --force")}
		}
		db, done, err := lockDatabase(c.Context())
		if err != nil {
			return err
		}
		defer done()
		former, err := singleton.Force(c.Context(), db, app.LockName, operator())
		if err != nil {
			return lockAdvice(err)
		}
		h, err := singleton.ReadHolding(c.Context(), db, app.LockName)
		if err != nil {
			return err
		}
		fmt.Fprintf(c.ErrOrStderr(), "the term of %s is over\n", former)
		return awaitSuccessor(c, db, h.Epoch-1, *wait)
	}
	return c
}

// awaitSuccessor waits until a later term than epoch is held.
func awaitSuccessor(c *cobra.Command, db *pgx.Conn, epoch int64, wait time.Duration) error {
	ctx, cancel := context.WithTimeout(c.Context(), wait)
	defer cancel()
	begin := time.Now()
	for {
		h, err := singleton.ReadHolding(ctx, db, app.LockName)
		if err != nil && ctx.Err() == nil {
			return err
		}
		if err == nil && h.Held && h.Epoch > epoch {
			fmt.Fprintf(c.OutOrStdout(), "%s is ACTIVE, epoch %d, after %s\n", h.Holder, h.Epoch, time.Since(begin).Round(time.Millisecond))
			return nil
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			return fmt.Errorf("nobody followed within %s; see `kiosk lock status` and whether another instance runs", wait)
		}
	}
}

// operator names who asks, for the lock's history.
func operator() string {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown host"
	}
	return "an operator on " + host
}
