package outbox

import (
	"context"
	_ "embed"
	"fmt"
	"time"

	"kiosk/internal/pg"
)

//go:embed sql/overdue.sql
var sqlOverdue string

// Overdue reports whether work has been due for longer than by.
func Overdue(ctx context.Context, db pg.DB, by time.Duration) (late bool, err error) {
	if err := db.QueryRow(ctx, sqlOverdue, by.Milliseconds()).Scan(&late); err != nil {
		return false, fmt.Errorf("look for overdue work of the outbox: %w", err)
	}
	return late, nil
}
