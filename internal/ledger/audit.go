package ledger

import (
	"context"
	_ "embed"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"kiosk/internal/pg"
)

//go:embed sql/stats.sql
var sqlStats string

// Stats is what health reports of the open holds.
type Stats struct {
	HoldsOpen         int64   `json:"holds_open"`
	OldestHoldSeconds float64 `json:"oldest_hold_seconds"`
	HoldsOverdue      int64   `json:"holds_overdue"` // open past the time by which they had to be settled
}

// ReadStats counts the open holds.
func ReadStats(ctx context.Context, db pg.DB) (Stats, error) {
	var s Stats
	if err := db.QueryRow(ctx, sqlStats).Scan(&s.HoldsOpen, &s.OldestHoldSeconds, &s.HoldsOverdue); err != nil {
		return s, fmt.Errorf("count open holds: %w", err)
	}
	return s, nil
}

// Defect is one contradiction in the books.
type Defect struct {
	Defect  string `json:"defect"`
	Subject string `json:"subject"`
	Detail  string `json:"detail"`
}

// Audit recomputes the books from their transfers and returns every
// contradiction. An empty answer is the proof that they are sound.
func Audit(ctx context.Context, db pg.DB) ([]Defect, error) {
	rows, err := db.Query(ctx, sqlAudit)
	if err != nil {
		return nil, fmt.Errorf("audit the books: %w", err)
	}
	defects, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Defect])
	if err != nil {
		return nil, fmt.Errorf("audit the books: %w", err)
	}
	return defects, nil
}

// Line is one movement on one of a user's accounts.
type Line struct {
	At      time.Time `json:"at"`
	Kind    string    `json:"kind"` // of the operation
	Key     string    `json:"key"`
	Reason  string    `json:"reason"`
	Account string    `json:"account"` // paid, bonus, hold
	Amount  Amount    `json:"amount_minor"`
	After   Amount    `json:"balance_after_minor"`
}

// Statement returns a user's newest movements, newest first.
func Statement(ctx context.Context, db pg.DB, user UserID, limit int) ([]Line, error) {
	rows, err := db.Query(ctx, sqlStatement, user, limit)
	if err != nil {
		return nil, fmt.Errorf("read the statement: %w", err)
	}
	lines, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Line])
	if err != nil {
		return nil, fmt.Errorf("read the statement: %w", err)
	}
	return lines, nil
}
