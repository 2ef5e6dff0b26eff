package ledger

import (
	"context"
	_ "embed"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"kiosk/internal/sweep"
)

//go:embed sql/holds_overdue.sql
var sqlHoldsOverdue string

//go:embed sql/holds_open.sql
var sqlHoldsOpen string

// Orphans reports open holds that are overdue and whose order is over or does
// not exist: money that nobody will come back for. It changes nothing, because a
// hold is closed by its order alone; over returns those of the given keys.
func Orphans(over func(ctx context.Context, tx pgx.Tx, keys []string) ([]string, error)) sweep.Sweep {
	return sweep.Sweep{
		Name: "ledger.orphan_holds", Every: 10 * time.Minute,
		Defect: "an order ended without closing its hold; run `kiosk ledger verify`, read the order's history, and give the money back by an adjustment",
		Batch:  func(ctx context.Context, tx pgx.Tx) (sweep.Found, error) { return orphans(ctx, tx, over) },
	}
}

func orphans(ctx context.Context, tx pgx.Tx, over func(context.Context, pgx.Tx, []string) ([]string, error)) (sweep.Found, error) {
	overdue, err := keys(ctx, tx, sqlHoldsOverdue, sweep.Limit)
	if err != nil || len(overdue) == 0 {
		return sweep.Found{}, err
	}
	lost, err := over(ctx, tx, overdue)
	if err != nil || len(lost) == 0 {
		return sweep.Found{}, err
	}
	// An order that ended between the two looks has closed its hold.
	open, err := keys(ctx, tx, sqlHoldsOpen, lost)
	return sweep.Found{Count: len(open), Subjects: open}, err
}

func keys(ctx context.Context, tx pgx.Tx, sql string, arg any) ([]string, error) {
	rows, err := tx.Query(ctx, sql, arg)
	if err != nil {
		return nil, fmt.Errorf("list overdue holds: %w", err)
	}
	return pgx.CollectRows(rows, pgx.RowTo[string])
}
