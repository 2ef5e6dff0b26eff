package outbox

import (
	_ "embed"
	"time"

	"kiosk/internal/sweep"
)

//go:embed sql/sweep_old.sql
var sqlSweepOld string

//go:embed sql/sweep_unknown.sql
var sqlSweepUnknown string

// buttonLife is how long the button that offers an unknown result again has
// something to send: providers keep files for two weeks at most.
const buttonLife = 14 * 24 * time.Hour

// Sweeps ends unknown deliveries whose button can do nothing any more, and
// deletes what was sent, refused or given up once it is older than keep. What
// waits or is under way is never deleted.
func Sweeps(keep time.Duration) []sweep.Sweep {
	return []sweep.Sweep{
		{
			Name: "outbox.unknown", Every: time.Hour,
			Batch: sweep.Statement(sqlSweepUnknown, int64(buttonLife.Seconds())),
		},
		{
			Name: "outbox.old", Every: 10 * time.Minute,
			Batch: sweep.Statement(sqlSweepOld, int64(keep.Seconds())),
		},
	}
}
