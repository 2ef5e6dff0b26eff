package bot

import (
	_ "embed"
	"time"

	"kiosk/internal/sweep"
)

//go:embed sql/sweep_sessions.sql
var sqlSweepSessions string

// Sweeps forgets what people who have been silent for longer than keep had
// begun to fill in, as if they had started anew.
func Sweeps(keep time.Duration) []sweep.Sweep {
	return []sweep.Sweep{{
		Name: "bot.sessions", Every: 6 * time.Hour,
		Batch: sweep.Statement(sqlSweepSessions, int64(keep.Seconds())),
	}}
}
