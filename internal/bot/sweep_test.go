package bot_test

import (
	"os"
	"testing"
	"time"

	"kiosk/internal/bot"
	"kiosk/internal/pg/pgtest"
	"kiosk/internal/sweep/sweeptest"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Run(m)) }

// A forgotten draft leaves its number: the next one must not have it again.
func TestSweepSessions_ForgetsContentAndKeepsTheDraftsNumber(t *testing.T) {
	t.Parallel()
	sweeptest.Check(t, sweeptest.Case{
		Sweep: bot.Sweeps(30 * 24 * time.Hour)[0],
		Fill: `INSERT INTO bot_users (id, first_name, language) SELECT n, 'x', 'en' FROM generate_series(1, 1600) AS n;
			INSERT INTO bot_sessions (user_id, state, updated_at)
			SELECT n, CASE n % 4 WHEN 0 THEN '{}' WHEN 1 THEN '{"text": "secret", "draft": 0}' WHEN 2 THEN '{"draft": 8, "ordered": 7}'
			          ELSE '{"model": "m", "values": {"prompt": "secret"}, "draft": 8, "ordered": 7, "open": true, "shown": 64}' END::jsonb,
			       clock_timestamp() - (CASE WHEN n > 100 THEN 31 ELSE 29 END) * interval '1 day'
			FROM generate_series(1, 1600) AS n`,
		Dirt: `SELECT count(*) FROM bot_sessions WHERE user_id > 100 AND state::text LIKE '%secret%'`,
		Live: `SELECT md5(string_agg(concat(user_id, updated_at, state -> 'draft', state -> 'ordered', CASE WHEN user_id <= 100 THEN state END), E'\n' ORDER BY user_id)
			) || sum((state ->> 'draft')::int) || sum((state ->> 'ordered')::int) FROM bot_sessions WHERE state <> '{}'`,
	})
}
