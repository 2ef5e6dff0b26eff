package ledger_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"kiosk/internal/ledger"
	"kiosk/internal/sweep/sweeptest"
	"kiosk/singleton"
)

// An overdue hold without a living order is reported again and again, and never
// closed behind its order's back.
func TestOrphans_ReportOverdueHoldsOfDeadOrdersAndChangeNothing(t *testing.T) {
	t.Parallel()
	h := sweeptest.Open(t)
	l, err := ledger.New("RUB")
	if err != nil {
		t.Fatal(err)
	}
	b := books{l, h.Pool, t}
	b.bonus("welcome", 1000)
	for key, expires := range map[string]time.Duration{
		"gen:over": -time.Hour, "gen:alive": -time.Hour, "gen:over-not-overdue": time.Hour, "gen:over-and-closed": -time.Hour, "gen:closes-meanwhile": -time.Hour,
	} {
		b.must(func(tx pgx.Tx) error { return l.Hold(t.Context(), tx, key, user, 100, expires) })
	}
	if err := b.release("gen:over-and-closed"); err != nil {
		t.Fatal(err)
	}
	over := func(_ context.Context, _ pgx.Tx, keys []string) ([]string, error) {
		if slices.Contains(keys, "gen:closes-meanwhile") { // its order ends right now
			if err := b.capture("gen:closes-meanwhile", 100); err != nil {
				return nil, err
			}
		}
		return slices.DeleteFunc(keys, func(k string) bool { return k == "gen:alive" }), nil
	}
	former, present := h.Terms()
	if _, err := h.Run(former, ledger.Orphans(over)); !errors.Is(err, singleton.ErrFenced) {
		t.Errorf("a former holder's sweep: %v, want ErrFenced", err)
	}
	for range 2 {
		f, err := h.Run(present, ledger.Orphans(over))
		if err != nil || f.Count != 1 || !slices.Equal(f.Subjects, []string{"gen:over"}) {
			t.Errorf("found %+v, %v", f, err)
		}
	}
	b.want(0, 600, 300)
}
