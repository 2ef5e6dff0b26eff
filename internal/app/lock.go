package app

import (
	"context"
	"runtime/debug"
	"time"

	"kiosk/internal/generation"
	"kiosk/internal/inbox"
	"kiosk/internal/outbox"
)

// overdue is how long work may be due before the lock counts it as waiting. The
// lanes begin what is due within milliseconds, or within a poll.
const overdue = 5 * time.Second

// waiting tells the lock whether work is due that nobody has begun.
func (a *App) waiting(ctx context.Context) (bool, error) {
	for _, room := range []func(context.Context) (bool, error){
		func(ctx context.Context) (bool, error) { return inbox.Overdue(ctx, a.pool, overdue) },
		func(ctx context.Context) (bool, error) { return outbox.Overdue(ctx, a.pool, overdue) },
		func(ctx context.Context) (bool, error) { return generation.Overdue(ctx, a.pool, overdue) },
	} {
		if late, err := room(ctx); late || err != nil {
			return late, err
		}
	}
	return false, nil
}

// built is set when the program is linked outside a repository:
// -ldflags "-X kiosk/internal/app.built=2026-01-31T12:00:00Z".
var built string

// buildRank orders builds by the time of their commit, in seconds; 0 is unknown.
func buildRank() int64 {
	text := built
	if info, ok := debug.ReadBuildInfo(); ok && text == "" {
		for _, s := range info.Settings {
			if s.Key == "vcs.time" {
				text = s.Value
			}
		}
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return 0
	}
	return t.Unix()
}
