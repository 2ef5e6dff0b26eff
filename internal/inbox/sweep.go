package inbox

import (
	"context"
	_ "embed"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"kiosk/internal/sweep"
)

//go:embed sql/sweep_old.sql
var sqlSweepOld string

//go:embed sql/orphan_candidates.sql
var sqlOrphanCandidates string

//go:embed sql/orphan_close.sql
var sqlOrphanClose string

// Sweeps deletes what was handled, given up or not decodable once it is older
// than keep. What waits is never deleted.
func Sweeps(keep time.Duration) []sweep.Sweep {
	return []sweep.Sweep{{
		Name: "inbox.old", Every: 10 * time.Minute,
		Batch: sweep.Statement(sqlSweepOld, int64(keep.Seconds())),
	}}
}

// orphanAge is how long a message may wait for its handler before it counts as
// left behind: more than all attempts take.
const orphanAge = 15 * time.Minute

// Orphans closes messages of a source that nobody has handled and nobody needs
// to: over returns those of the given lanes whose subject is over or unknown.
func Orphans(source string, over func(ctx context.Context, tx pgx.Tx, lanes []string) ([]string, error)) sweep.Sweep {
	return sweep.Sweep{
		Name: "inbox." + source + "_orphans", Every: 5 * time.Minute,
		Batch: func(ctx context.Context, tx pgx.Tx) (sweep.Found, error) { return closeOrphans(ctx, tx, source, over) },
	}
}

func closeOrphans(ctx context.Context, tx pgx.Tx, source string, over func(context.Context, pgx.Tx, []string) ([]string, error)) (sweep.Found, error) {
	rows, err := tx.Query(ctx, sqlOrphanCandidates, sweep.Limit, source, int64(orphanAge.Seconds()))
	if err != nil {
		return sweep.Found{}, fmt.Errorf("list unhandled messages: %w", err)
	}
	ids := map[string][]int64{} // by lane
	var id int64
	var lane string
	candidates := 0
	_, err = pgx.ForEachRow(rows, []any{&id, &lane}, func() error {
		ids[lane] = append(ids[lane], id)
		candidates++
		return nil
	})
	if err != nil {
		return sweep.Found{}, fmt.Errorf("list unhandled messages: %w", err)
	}
	var lanes []string
	for l := range ids {
		lanes = append(lanes, l)
	}
	finished, err := over(ctx, tx, lanes)
	if err != nil {
		return sweep.Found{}, err
	}
	var orphans []int64
	for _, l := range finished {
		orphans = append(orphans, ids[l]...)
	}
	tag, err := tx.Exec(ctx, sqlOrphanClose, orphans)
	if err != nil {
		return sweep.Found{}, fmt.Errorf("close messages about what is over: %w", err)
	}
	n := int(tag.RowsAffected())
	return sweep.Found{Count: n, More: n > 0 && candidates >= sweep.Limit}, nil
}
