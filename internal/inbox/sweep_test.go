package inbox_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"kiosk/internal/inbox"
	"kiosk/internal/sweep/sweeptest"
)

const month = 30 * 24 * time.Hour

func TestSweepOld_DeletesWhatWasHandledBeforeTheRetention(t *testing.T) {
	t.Parallel()
	sweeptest.Check(t, sweeptest.Case{
		Sweep: inbox.Sweeps(month)[0],
		Fill: `INSERT INTO inbox_messages (source, key, lane, body, state, received_at)
			SELECT 's', state || age || n, 'l', '', state, clock_timestamp() - age * interval '1 day'
			FROM unnest(ARRAY['pending', 'done', 'failed', 'undecodable']) AS state, unnest(ARRAY[40, 31, 29, 0]) AS age, generate_series(1, 200) AS n
			ORDER BY age DESC, state`,
		Dirt: `SELECT count(*) FROM inbox_messages WHERE state <> 'pending' AND received_at < clock_timestamp() - interval '30 days'`,
		Live: `SELECT md5(string_agg(m::text, E'\n' ORDER BY id)) FROM inbox_messages m WHERE state = 'pending' OR received_at > clock_timestamp() - interval '30 days'`,
	})
}

func TestOrphans_CloseWhatSpeaksOfAnythingThatIsOver(t *testing.T) {
	t.Parallel()
	over := func(_ context.Context, _ pgx.Tx, lanes []string) ([]string, error) {
		return slices.DeleteFunc(lanes, func(l string) bool { return l == "alive" }), nil
	}
	sweeptest.Check(t, sweeptest.Case{
		Sweep: inbox.Orphans("kie", over),
		Fill: `INSERT INTO inbox_messages (source, key, lane, body, state, received_at)
			SELECT source, state || lane || age || n, lane, '', state, clock_timestamp() - age * interval '1 minute'
			FROM unnest(ARRAY['kie', 'telegram']) AS source, unnest(ARRAY['pending', 'done', 'failed', 'undecodable']) AS state,
			     unnest(ARRAY['alive', 'over', 'unknown']) AS lane, unnest(ARRAY[20, 5]) AS age, generate_series(1, 100) AS n`,
		Dirt: `SELECT count(*) FROM inbox_messages WHERE source = 'kie' AND state IN ('pending', 'failed')
			AND lane <> 'alive' AND received_at < clock_timestamp() - interval '15 minutes'`,
		Live: `SELECT md5(string_agg(m::text, E'\n' ORDER BY id)) FROM inbox_messages m
			WHERE NOT (source = 'kie' AND lane <> 'alive' AND state IN ('pending', 'failed', 'done') AND received_at < clock_timestamp() - interval '15 minutes')`,
	})
}
