package generation

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"kiosk/internal/catalog"
	"kiosk/internal/fault"
	"kiosk/internal/ledger"
	"kiosk/internal/pg"
	"kiosk/internal/trace"
)

// Order is what a person confirms.
type Order struct {
	Key       string // one press is one order: equal keys are the same one
	UserID    ledger.UserID
	ChatID    int64
	MessageID int64 // the message that will show the progress
	Language  string
	Model     string
	Values    catalog.Values
	MaxPrice  ledger.Amount // what the person was shown; a higher price is a conflict
}

// Quote is a price before it is an order.
type Quote struct {
	Values catalog.Values // completed
	Price  ledger.Amount  // what will be charged; 0 for a free run
	Full   ledger.Amount  // without the free run
	Cost   catalog.USD
	Free   bool
}

// Quote prices an order for a user. The error may be a *catalog.InputError.
func (s *Service) Quote(ctx context.Context, db pg.DB, user ledger.UserID, model string, values catalog.Values) (Quote, error) {
	left, err := s.FreeLeft(ctx, db, user)
	if err != nil {
		return Quote{}, err
	}
	return s.QuoteWith(model, values, left)
}

// QuoteWith prices an order for somebody who has freeLeft free runs. It is pure.
func (s *Service) QuoteWith(model string, values catalog.Values, freeLeft int) (Quote, error) {
	m, err := s.Catalog.Get(model)
	if err != nil {
		return Quote{}, err
	}
	full, cost, price, err := m.Quote(s.Pricer, values)
	if err != nil {
		return Quote{}, fmt.Errorf("quote %s: %w", model, err)
	}
	q := Quote{Values: full, Price: ledger.Amount(price), Full: ledger.Amount(price), Cost: cost}
	if m.Free && freeLeft > 0 {
		q.Free, q.Price = true, 0
	}
	return q, nil
}

// FreeLeft returns how many runs of free models the user has left now.
func (s *Service) FreeLeft(ctx context.Context, db pg.DB, user ledger.UserID) (int, error) {
	if s.Limits.FreeDaily == 0 {
		return 0, nil
	}
	var used int
	if err := db.QueryRow(ctx, sqlFreeToday, user).Scan(&used); err != nil {
		return 0, fmt.Errorf("count free runs: %w", err)
	}
	return max(s.Limits.FreeDaily-used, 0), nil
}

// Request takes an order: validate, quote, hold, store, all in the caller's
// transaction, which must hold the user's lane. It is idempotent by the order's
// key. The trace of ctx gives the generation its id, so an update can make one order. Refusals that people cause leave the transaction usable:
// *catalog.InputError, *ledger.InsufficientError, and conflicts.
func (s *Service) Request(ctx context.Context, tx pgx.Tx, o Order) (ID, error) {
	var existing ID
	err := tx.QueryRow(ctx, sqlFindRequest, o.Key).Scan(&existing)
	if err == nil {
		return existing, nil
	}
	if !pg.IsNoRows(err) {
		return uuid.Nil, fmt.Errorf("look for the same order: %w", err)
	}
	if err := s.admit(ctx, tx, o.UserID); err != nil {
		return uuid.Nil, err
	}
	q, err := s.Quote(ctx, tx, o.UserID, o.Model, o.Values)
	if err != nil {
		return uuid.Nil, err
	}
	if q.Price > o.MaxPrice {
		return uuid.Nil, ErrPriceChanged
	}
	id := trace.Of(ctx) // the order is what its update leads to
	if id == uuid.Nil {
		id = trace.New()
	}
	expires := s.Limits.HeldFor + s.Limits.UnknownFor + s.Limits.RunningFor + time.Hour
	if err := s.Ledger.Hold(ctx, tx, holdKey(id), o.UserID, q.Price, expires); err != nil {
		return uuid.Nil, err
	}
	_, err = tx.Exec(ctx, sqlInsert, id, o.Key, o.UserID, o.ChatID, o.MessageID, o.Language, o.Model, q.Values, q.Price, q.Cost, q.Free)
	if err != nil {
		return uuid.Nil, fmt.Errorf("store the order: %w", err)
	}
	return id, nil
}

// ErrPriceChanged says that the price rose after it was shown.
var ErrPriceChanged = fault.New(fault.Conflict, "The price has changed. Please look at it again.")

// BusyError says that a user has enough generations under way.
type BusyError struct{ Limit int }

// Error names the limit.
func (e *BusyError) Error() string {
	return fmt.Sprintf("%d generations are under way already", e.Limit)
}

// Unwrap classifies the error.
func (e *BusyError) Unwrap() error { return fault.New(fault.Conflict, e.Error()) }

func (s *Service) admit(ctx context.Context, tx pgx.Tx, user ledger.UserID) error {
	var running int
	if err := tx.QueryRow(ctx, sqlRunningOfUser, user).Scan(&running); err != nil {
		return fmt.Errorf("count the user's generations: %w", err)
	}
	if running >= s.Limits.PerUser {
		return &BusyError{Limit: s.Limits.PerUser}
	}
	return nil
}

// Callback notes that the provider has something to say about a generation, in
// the transaction that handles the callback's inbox row. taskID is the task
// that the callback names, "" if none; it is a hint that the worker confirms
// with the provider. A generation that is over is left alone.
func (s *Service) Callback(ctx context.Context, tx pgx.Tx, id ID, taskID string) error {
	if _, err := tx.Exec(ctx, sqlHint, id, taskID); err != nil {
		return fmt.Errorf("note a callback of %s: %w", id, err)
	}
	return nil
}
