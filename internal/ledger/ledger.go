// Package ledger keeps the money: users' accounts, holds, and the operator's
// side of every movement.
//
// The rules live in the database (migration 0001_ledger.sql), where no caller
// can go around them: a transfer has both sides in one row, floors are CHECKs,
// history is append-only, and an operation's key makes it happen once. This
// package is the only one that calls those functions.
//
// Every method takes the transaction of its caller, because money changes in
// the same commit as the state that it pays for: Hold with the order (station
// 5 of the route), Capture or Release with the result (station 7). A method
// that fails leaves the transaction unusable; roll it back.
//
// The package never decides prices and never talks to a payment provider.
package ledger

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"kiosk/internal/fault"
	"kiosk/internal/pg"
)

//go:embed sql/balance.sql
var sqlBalance string

//go:embed sql/top_up.sql
var sqlTopUp string

//go:embed sql/hold.sql
var sqlHold string

//go:embed sql/capture.sql
var sqlCapture string

//go:embed sql/release.sql
var sqlRelease string

//go:embed sql/audit.sql
var sqlAudit string

//go:embed sql/statement.sql
var sqlStatement string

// What the books refuse. Test with errors.Is.
var (
	ErrKeyReused = errors.New("the operation's key was used with other content")
	ErrHoldOver  = errors.New("the hold is closed already")
	ErrNoHold    = errors.New("there is no such hold")
	ErrTooMuch   = errors.New("the amount is not possible")
)

// InsufficientError says that a user's money does not cover a hold.
type InsufficientError struct {
	Missing Amount
}

// Error says how much is missing.
func (e *InsufficientError) Error() string {
	return fmt.Sprintf("%s is missing on the balance", e.Missing)
}

// Unwrap classifies the error for people.
func (e *InsufficientError) Unwrap() error {
	return fault.New(fault.Insufficient, "Your balance does not cover this.")
}

// Source names the operator's account that a top-up comes from.
type Source string

// Promo is where credits given away come from.
const Promo Source = "sys:promo"

// Ledger moves money of one unit. It has no state but its metrics; all methods are
// safe for concurrent use, and users' accounts are locked in a fixed order.
type Ledger struct {
	unit    string
	metrics *Metrics
}

// Option changes a ledger.
type Option func(*Ledger)

// Measure records the movements.
func Measure(m *Metrics) Option { return func(l *Ledger) { l.metrics = m } }

// New returns the ledger of the unit, an ISO 4217 code such as RUB.
func New(unit string, options ...Option) (*Ledger, error) {
	if len(unit) != 3 {
		return nil, fmt.Errorf("currency %q: want three letters such as RUB", unit)
	}
	l := &Ledger{unit: unit, metrics: NewMetrics(nil)}
	for _, o := range options {
		o(l)
	}
	return l, nil
}

// Unit returns the currency in which all amounts are kept.
func (l *Ledger) Unit() string { return l.unit }

// Balance is what one user has.
type Balance struct {
	Paid, Bonus Amount // free to spend
	Held        Amount // reserved by orders under way
}

// Available returns what the user can spend now.
func (b Balance) Available() Amount { return b.Paid + b.Bonus }

// Balance returns a user's balance; a user unknown to the books has nothing.
// Decide nothing by it: Hold checks and takes in one step.
func (l *Ledger) Balance(ctx context.Context, db pg.DB, user UserID) (Balance, error) {
	var b Balance
	if err := db.QueryRow(ctx, sqlBalance, user).Scan(&b.Paid, &b.Bonus, &b.Held); err != nil {
		return b, fmt.Errorf("read the balance: %w", err)
	}
	return b, nil
}

// GiveBonus credits a user's bonus account once per key; a repetition with the
// same content changes nothing and reports false.
func (l *Ledger) GiveBonus(ctx context.Context, tx pgx.Tx, key string, user UserID, amount Amount, from Source, reason string) (done bool, err error) {
	defer func(start time.Time) { l.metrics.moved("bonus", start, done, err) }(time.Now())
	err = tx.QueryRow(ctx, sqlTopUp, "bonus:"+key, user, l.unit, "bonus", from, amount, reason).Scan(&done)
	if err != nil {
		return false, fmt.Errorf("give a bonus of %s: %w", amount, refusal(err))
	}
	return done, nil
}

// TopUp credits money that a user has paid, once per key. The key carries the
// payment provider's own id of the payment.
func (l *Ledger) TopUp(ctx context.Context, tx pgx.Tx, key string, user UserID, amount Amount, from Source, reason string) (done bool, err error) {
	defer func(start time.Time) { l.metrics.moved("topup", start, done, err) }(time.Now())
	err = tx.QueryRow(ctx, sqlTopUp, "topup:"+key, user, l.unit, "paid", from, amount, reason).Scan(&done)
	if err != nil {
		return false, fmt.Errorf("top up %s: %w", amount, refusal(err))
	}
	return done, nil
}

// Hold reserves amount, bonus money first, until Capture or Release. It is
// idempotent by key. When the money does not suffice it changes nothing and
// returns *InsufficientError; the transaction stays usable.
func (l *Ledger) Hold(ctx context.Context, tx pgx.Tx, key string, user UserID, amount Amount, expires time.Duration) (err error) {
	defer func(start time.Time) { l.metrics.moved("hold", start, true, err) }(time.Now())
	var outcome string
	var missing Amount
	err = tx.QueryRow(ctx, sqlHold, key, user, l.unit, amount, int64(expires.Seconds())).Scan(&outcome, &missing)
	if err != nil {
		return fmt.Errorf("hold %s: %w", amount, refusal(err))
	}
	if outcome == "insufficient" {
		return fmt.Errorf("hold %s: %w", amount, &InsufficientError{Missing: missing})
	}
	return nil
}

// Capture takes amount of a hold as revenue and gives the rest back. It is
// idempotent; a hold that was released is ErrHoldOver, more than was held is
// ErrTooMuch, another amount than before is ErrKeyReused.
func (l *Ledger) Capture(ctx context.Context, tx pgx.Tx, key string, amount Amount, reason string) (err error) {
	var done bool
	defer func(start time.Time) { l.metrics.moved("capture", start, done, err) }(time.Now())
	if err = tx.QueryRow(ctx, sqlCapture, key, amount, reason).Scan(&done); err != nil {
		return fmt.Errorf("capture %s: %w", amount, refusal(err))
	}
	return nil
}

// Release gives a whole hold back. It is idempotent; a hold that was captured
// is ErrHoldOver.
func (l *Ledger) Release(ctx context.Context, tx pgx.Tx, key, reason string) (err error) {
	var done bool
	defer func(start time.Time) { l.metrics.moved("release", start, done, err) }(time.Now())
	if err = tx.QueryRow(ctx, sqlRelease, key, reason).Scan(&done); err != nil {
		return fmt.Errorf("release: %w", refusal(err))
	}
	return nil
}

// refusal turns the books' own SQLSTATEs into sentinels.
func refusal(err error) error {
	switch pg.Code(err) {
	case "LK404":
		return fmt.Errorf("%w: %w", ErrNoHold, err)
	case "LK409":
		return fmt.Errorf("%w: %w", ErrKeyReused, err)
	case "LK410":
		return fmt.Errorf("%w: %w", ErrHoldOver, err)
	case "LK422":
		return fmt.Errorf("%w: %w", ErrTooMuch, err)
	}
	return err
}
