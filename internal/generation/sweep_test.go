package generation_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"kiosk/internal/generation"
	"kiosk/internal/provider"
	"kiosk/internal/sweep"
	"kiosk/internal/sweep/sweeptest"
)

const month = 30 * 24 * time.Hour

func sweepOf(t *testing.T, s *generation.Service, name string) sweep.Sweep {
	t.Helper()
	list := s.Sweeps(month)
	i := slices.IndexFunc(list, func(s sweep.Sweep) bool { return s.Name == name })
	if i < 0 {
		t.Fatalf("there is no sweep %s", name)
	}
	return list[i]
}

// each is one row per state and age in minutes, 300 of each, all asleep for a day.
const each = `INSERT INTO generations (id, request_key, user_id, chat_id, language, model, params, price, cost_micros, state, task_id, due_at, created_at, submitted_at, finished_at)
	SELECT gen_random_uuid(), state || age || n, 7, 7, 'en', 'z-image', '{"prompt": "secret"}', 0, 0, state, CASE WHEN state = 'running' THEN state || age || n END,
	       clock_timestamp() + interval '1 day', at, CASE WHEN state <> 'held' THEN at END, CASE WHEN state IN ('succeeded', 'failed') THEN at END
	FROM unnest(ARRAY['held', 'submitting', 'running', 'unknown', 'succeeded', 'failed']) AS state,
	     unnest(ARRAY[60 * 24 * 31, 60 * 24 * 29, 60 * 4, 60, 10, 0]) AS age,
	     LATERAL (SELECT clock_timestamp() - age * interval '1 minute' AS at) AS t, generate_series(1, 300) AS n;
	INSERT INTO generation_events (generation_id, event, from_state, to_state, epoch, detail, at)
	SELECT id, 'submit', 'held', state, 1, 'secret', created_at FROM generations ORDER BY created_at`

func TestSweepStuck_WakesWhatHasOutlivedItsState(t *testing.T) {
	t.Parallel()
	const old = `(state = 'held' AND created_at < now() - interval '20 minutes' OR state = 'submitting' AND created_at < now() - interval '5 minutes'
		OR state = 'unknown' AND created_at < now() - interval '20 minutes' OR state = 'running' AND created_at < now() - interval '150 minutes')`
	sweeptest.Check(t, sweeptest.Case{
		Sweep: sweepOf(t, open(t, &script{}, generation.Limits{}).Service, "generation.stuck"), Fill: each,
		Dirt: `SELECT count(*) FROM generations WHERE due_at > clock_timestamp() AND ` + old,
		Live: `SELECT md5(string_agg(CASE WHEN ` + old + ` THEN state ELSE g::text END, E'\n' ORDER BY id)) FROM generations g`,
	})
}

func TestSweepOld_ForgetsInputsAndHistoryAndKeepsTheRow(t *testing.T) {
	t.Parallel()
	const old = `(finished_at IS NOT NULL AND finished_at < clock_timestamp() - interval '30 days')`
	sweeptest.Check(t, sweeptest.Case{
		Sweep: sweepOf(t, open(t, &script{}, generation.Limits{}).Service, "generation.old"), Fill: each,
		Dirt: `SELECT count(*) FROM generations g WHERE ` + old + ` AND params <> '{}' AND EXISTS (SELECT 1 FROM generation_events WHERE generation_id = g.id)`,
		Live: `SELECT count(*) || md5(string_agg(CASE WHEN ` + old + ` THEN concat(id, request_key, user_id, price, state)
			ELSE concat(g, (SELECT e FROM generation_events e WHERE generation_id = g.id)) END, E'\n' ORDER BY id)) FROM generations g`,
	})
}

// A submission whose worker is gone and whose row sleeps: the sweep wakes it, and
// the state machine ends it and gives the money back.
func TestSweepStuck_TheStateMachineReleasesTheHold(t *testing.T) {
	t.Parallel()
	never := &script{submit: func(int) (string, error) {
		return "", &provider.Error{Outcome: provider.Unknown, Cause: provider.NoAnswer}
	}}
	s := open(t, never, generation.Limits{UnknownFor: time.Nanosecond})
	id := s.request("one")
	s.exec(t, `UPDATE generations SET state = 'submitting', claim_epoch = 1000, submitted_at = clock_timestamp() - interval '1 hour', due_at = clock_timestamp() + interval '1 year'`)
	h := &sweeptest.House{T: t, URL: s.url, Pool: s.pool}
	if f, err := h.Run(h.Elect("sweeper", h.URL), sweepOf(t, s.Service, "generation.stuck")); err != nil || f.Count != 1 {
		t.Fatalf("swept %+v, %v", f, err)
	}
	s.work()
	g := s.wait(id, generation.Failed)
	if b := s.balance(); b.Held != 0 || b.Available() != 10_000 || g.Cause != string(provider.NoAnswer) {
		t.Errorf("balance %+v, cause %s", b, g.Cause)
	}
	if never.count() != 0 {
		t.Error("it was submitted again")
	}
}

func (s *shop) exec(t *testing.T, sql string) {
	t.Helper()
	if _, err := s.pool.Exec(t.Context(), sql); err != nil {
		t.Fatal(err)
	}
}

func TestOver_NamesWhatIsFinalOrAbsent(t *testing.T) {
	t.Parallel()
	s := open(t, &script{}, generation.Limits{})
	alive, failed, absent := s.request("alive"), s.request("failed"), uuid.New()
	s.exec(t, `UPDATE generations SET state = 'failed', finished_at = clock_timestamp() WHERE id = '`+failed.String()+`'`)
	s.tx(func(tx pgx.Tx) error {
		lanes, err := s.LanesOver(context.Background(), tx, []string{alive.String(), failed.String(), absent.String(), "no id"})
		slices.Sort(lanes)
		want := []string{failed.String(), absent.String(), "no id"}
		slices.Sort(want)
		if err != nil || !slices.Equal(lanes, want) {
			t.Errorf("lanes %v, %v; want %v", lanes, err, want)
		}
		holds, err := s.HoldsOver(context.Background(), tx, []string{"gen:" + alive.String(), "gen:" + failed.String(), "other:" + absent.String()})
		if err != nil || !slices.Equal(holds, []string{"gen:" + failed.String()}) {
			t.Errorf("holds %v, %v", holds, err)
		}
		return nil
	})
}
