package outbox_test

import (
	"testing"
	"time"

	"kiosk/internal/outbox"
	"kiosk/internal/sweep/sweeptest"
)

const month = 30 * 24 * time.Hour

// every is a row of each state, created and finished so many days ago.
const every = `INSERT INTO outbox_messages (key, chat_id, kind, args, state, claim_epoch, created_at, finished_at)
	SELECT state || age || n, 1, 'k', '{}', state, 1, clock_timestamp() - age * interval '1 day',
	       CASE WHEN state NOT IN ('pending', 'sending') THEN clock_timestamp() - age * interval '1 day' END
	FROM unnest(ARRAY['pending', 'sending', 'sent', 'refused', 'unknown', 'expired']) AS state,
	     unnest(ARRAY[40, 31, 29, 15, 13, 0]) AS age, generate_series(1, 200) AS n
	ORDER BY age DESC, state`

func TestSweepOld_DeletesWhatEndedBeforeTheRetention(t *testing.T) {
	t.Parallel()
	sweeptest.Check(t, sweeptest.Case{
		Sweep: outbox.Sweeps(month)[1], Fill: every,
		Dirt: `SELECT count(*) FROM outbox_messages WHERE state NOT IN ('pending', 'sending') AND created_at < clock_timestamp() - interval '30 days'`,
		Live: `SELECT md5(string_agg(m::text, E'\n' ORDER BY id)) FROM outbox_messages m
			WHERE state IN ('pending', 'sending') OR created_at > clock_timestamp() - interval '30 days'`,
	})
}

// What is expired counts as unknown no more, and its row stays for the retention.
func TestSweepUnknown_EndsWhatItsButtonCannotSendAnyMore(t *testing.T) {
	t.Parallel()
	sweeptest.Check(t, sweeptest.Case{
		Sweep: outbox.Sweeps(month)[0], Fill: every,
		Dirt: `SELECT count(*) FROM outbox_messages WHERE state = 'unknown' AND finished_at < clock_timestamp() - interval '14 days'`,
		Live: `SELECT count(*) || md5(string_agg(m::text, E'\n' ORDER BY id) FILTER (WHERE state NOT IN ('unknown', 'expired')
			OR finished_at > clock_timestamp() - interval '14 days')) FROM outbox_messages m`,
	})
}
