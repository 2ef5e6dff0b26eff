package ledger_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"kiosk/internal/fault"
	"kiosk/internal/ledger"
	"kiosk/internal/pg"
	"kiosk/internal/pg/pgtest"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Run(m)) }

const user ledger.UserID = 7001

type books struct {
	*ledger.Ledger
	pool *pgxpool.Pool
	t    *testing.T
}

func open(t *testing.T) books {
	t.Helper()
	l, err := ledger.New("RUB")
	if err != nil {
		t.Fatal(err)
	}
	b := books{l, pgtest.New(t), t}
	t.Cleanup(b.audit)
	return b
}

// audit fails the test when the books contradict themselves, whatever it did.
func (b books) audit() {
	defects, err := ledger.Audit(context.Background(), b.pool)
	if err != nil || len(defects) > 0 {
		b.t.Errorf("audit: %v %v", defects, err)
	}
}

func (b books) tx(fn func(pgx.Tx) error) error {
	return pgx.BeginFunc(context.Background(), b.pool, fn)
}

func (b books) must(fn func(pgx.Tx) error) {
	b.t.Helper()
	if err := b.tx(fn); err != nil {
		b.t.Fatal(err)
	}
}

func (b books) topUp(key string, amount ledger.Amount) error {
	return b.tx(func(tx pgx.Tx) error {
		_, err := b.TopUp(context.Background(), tx, key, user, amount, "sys:psp:manual", "test")
		return err
	})
}

func (b books) bonus(key string, amount ledger.Amount) {
	b.t.Helper()
	b.must(func(tx pgx.Tx) error {
		_, err := b.GiveBonus(context.Background(), tx, key, user, amount, ledger.Promo, "test")
		return err
	})
}

func (b books) hold(key string, amount ledger.Amount) error {
	return b.tx(func(tx pgx.Tx) error {
		return b.Hold(context.Background(), tx, key, user, amount, time.Hour)
	})
}

func (b books) capture(key string, amount ledger.Amount) error {
	return b.tx(func(tx pgx.Tx) error { return b.Capture(context.Background(), tx, key, amount, "done") })
}

func (b books) release(key string) error {
	return b.tx(func(tx pgx.Tx) error { return b.Release(context.Background(), tx, key, "failed") })
}

func (b books) want(paid, bonus, held ledger.Amount) {
	b.t.Helper()
	got, err := b.Balance(context.Background(), b.pool, user)
	if err != nil {
		b.t.Fatal(err)
	}
	if want := (ledger.Balance{Paid: paid, Bonus: bonus, Held: held}); got != want {
		b.t.Fatalf("balance = %+v, want %+v", got, want)
	}
}

func TestHold_TakesBonusFirstAndCaptureGivesTheRestBack(t *testing.T) {
	t.Parallel()
	b := open(t)
	b.bonus("welcome", 300)
	if err := b.topUp("p1", 1000); err != nil {
		t.Fatal(err)
	}
	if err := b.hold("g1", 800); err != nil {
		t.Fatal(err)
	}
	b.want(500, 0, 800)
	if err := b.capture("g1", 500); err != nil {
		t.Fatal(err)
	}
	b.want(800, 0, 0)
}

func TestRelease_GivesEveryPartBackToWhereItCameFrom(t *testing.T) {
	t.Parallel()
	b := open(t)
	b.bonus("welcome", 300)
	if err := errors.Join(b.topUp("p1", 1000), b.hold("g1", 800), b.release("g1")); err != nil {
		t.Fatal(err)
	}
	b.want(1000, 300, 0)
}

// A transaction that has credited one user does not hold up another: the
// operator's side of the books is no hot row.
func TestTopUp_UsersDoNotWaitForEachOther(t *testing.T) {
	t.Parallel()
	b := open(t)
	b.bonus("first", 1) // the operator's account exists from now on
	b.must(func(tx pgx.Tx) error {
		if _, err := b.GiveBonus(context.Background(), tx, "open", 1, 100, ledger.Promo, "still open"); err != nil {
			return err
		}
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		return pgx.BeginFunc(ctx, b.pool, func(other pgx.Tx) error {
			_, err := b.GiveBonus(ctx, other, "other", 2, 100, ledger.Promo, "meanwhile")
			return err
		})
	})
}

func TestHold_InsufficientChangesNothingAndTheTransactionGoesOn(t *testing.T) {
	t.Parallel()
	b := open(t)
	b.bonus("welcome", 300)
	b.must(func(tx pgx.Tx) error {
		err := b.Hold(context.Background(), tx, "g1", user, 1000, time.Hour)
		var short *ledger.InsufficientError
		if !errors.As(err, &short) || short.Missing != 700 || fault.KindOf(err) != fault.Insufficient {
			t.Fatalf("err = %v, want 7.00 missing", err)
		}
		return b.Hold(context.Background(), tx, "g2", user, 300, time.Hour)
	})
	b.want(0, 0, 300)
}

func TestHold_SameKeyIsOneHoldAndOtherContentIsRefused(t *testing.T) {
	t.Parallel()
	b := open(t)
	b.bonus("welcome", 300)
	if err := errors.Join(b.hold("g1", 200), b.hold("g1", 200)); err != nil {
		t.Fatal(err)
	}
	b.want(0, 100, 200)
	if err := b.hold("g1", 50); !errors.Is(err, ledger.ErrKeyReused) {
		t.Fatalf("err = %v, want ErrKeyReused", err)
	}
}

func TestHold_SecondCaptureIsRefused(t *testing.T) {
	t.Parallel()
	b := open(t)
	b.bonus("welcome", 300)
	if err := errors.Join(b.hold("g1", 200), b.capture("g1", 150), b.capture("g1", 150)); err != nil {
		t.Fatalf("a repetition must be harmless: %v", err)
	}
	b.want(0, 150, 0)
	if err := b.capture("g1", 200); !errors.Is(err, ledger.ErrKeyReused) {
		t.Fatalf("second capture of another amount: %v, want ErrKeyReused", err)
	}
	if err := b.release("g1"); !errors.Is(err, ledger.ErrHoldOver) {
		t.Fatalf("release after capture: %v, want ErrHoldOver", err)
	}
}

func TestCapture_MoreThanHeldAndUnknownHoldsAreRefused(t *testing.T) {
	t.Parallel()
	b := open(t)
	b.bonus("welcome", 300)
	if err := b.hold("g1", 200); err != nil {
		t.Fatal(err)
	}
	if err := b.capture("g1", 201); !errors.Is(err, ledger.ErrTooMuch) {
		t.Fatalf("err = %v, want ErrTooMuch", err)
	}
	if err := b.release("nobody"); !errors.Is(err, ledger.ErrNoHold) {
		t.Fatalf("err = %v, want ErrNoHold", err)
	}
	b.want(0, 100, 200)
}

func TestHold_OfNothingIsSettledLikeAnyOther(t *testing.T) {
	t.Parallel()
	b := open(t)
	if err := errors.Join(b.hold("free", 0), b.capture("free", 0)); err != nil {
		t.Fatal(err)
	}
	if err := b.release("free"); !errors.Is(err, ledger.ErrHoldOver) {
		t.Fatalf("err = %v, want ErrHoldOver", err)
	}
	b.want(0, 0, 0)
}

// Raw SQL as the owner of the tables: the rules must hold without this package.
func TestBooks_RawSQLAttacksAreRefused(t *testing.T) {
	t.Parallel()
	b := open(t)
	b.bonus("welcome", 300)
	if err := errors.Join(b.hold("g1", 100), b.release("g1"), b.hold("g2", 100)); err != nil {
		t.Fatal(err)
	}
	attacks := map[string]string{
		"balance by hand":           `UPDATE ledger_accounts SET balance = balance + 100 WHERE kind = 'paid'`,
		"account born with money":   `INSERT INTO ledger_accounts (code, unit, user_id, kind, balance) VALUES ('x', 'RUB', 1, 'paid', 5)`,
		"account deleted":           `DELETE FROM ledger_accounts`,
		"transfer edited":           `UPDATE ledger_transfers SET amount = 1`,
		"transfer deleted":          `DELETE FROM ledger_transfers`,
		"history truncated":         `TRUNCATE ledger_transfers, ledger_holds, ledger_operations, ledger_accounts`,
		"operation deleted":         `DELETE FROM ledger_operations`,
		"one-sided transfer":        `INSERT INTO ledger_transfers (operation_id, unit, debit_id, credit_id, amount) SELECT 1, 'RUB', id, id, 5 FROM ledger_accounts LIMIT 1`,
		"negative transfer":         `INSERT INTO ledger_transfers (operation_id, unit, debit_id, credit_id, amount) SELECT 1, 'RUB', min(id), max(id), -5 FROM ledger_accounts`,
		"transfer across units":     `INSERT INTO ledger_transfers (operation_id, unit, debit_id, credit_id, amount) SELECT 1, 'USD', min(id), max(id), 5 FROM ledger_accounts`,
		"transfer without an order": `INSERT INTO ledger_transfers (operation_id, unit, debit_id, credit_id, amount) SELECT 999, 'RUB', min(id), max(id), 5 FROM ledger_accounts`,
		"overdraft":                 `INSERT INTO ledger_transfers (operation_id, unit, debit_id, credit_id, amount) SELECT 1, 'RUB', a.id, b.id, 5000 FROM ledger_accounts a, ledger_accounts b WHERE a.kind = 'paid' AND b.kind = 'hold'`,
		"closed hold reopened":      `UPDATE ledger_holds SET state = 'open', captured = NULL, closed_by = NULL WHERE key = 'g1'`,
		"hold enlarged":             `UPDATE ledger_holds SET bonus_part = 1000 WHERE key = 'g2'`,
		"hold closed for nothing":   `UPDATE ledger_holds SET state = 'captured', captured = 100 WHERE key = 'g2'`,
		"hold deleted":              `DELETE FROM ledger_holds`,
	}
	for name, sql := range attacks {
		if _, err := b.pool.Exec(context.Background(), sql); pg.Code(err) == "" {
			t.Errorf("%s: not refused (%v)", name, err)
		}
	}
	b.want(0, 200, 100)
}

// Thirty-two equal requests, and thirty-two that compete for money for one.
func TestBooks_DuplicateStorm(t *testing.T) {
	t.Parallel()
	b := open(t)
	storm := func(fn func(i int) error) int64 {
		var ok atomic.Int64
		var wg sync.WaitGroup
		for i := range 32 {
			wg.Go(func() {
				if fn(i) == nil {
					ok.Add(1)
				}
			})
		}
		wg.Wait()
		return ok.Load()
	}
	if n := storm(func(int) error { return b.topUp("pay", 500) }); n != 32 {
		t.Fatalf("%d of 32 equal top-ups answered well, want all", n)
	}
	b.want(500, 0, 0)
	if n := storm(func(i int) error { return b.hold(fmt.Sprintf("g%d", i), 500) }); n != 1 {
		t.Fatalf("%d holds won money for one", n)
	}
	var winner string
	if err := b.pool.QueryRow(context.Background(), `SELECT key FROM ledger_holds WHERE state = 'open'`).Scan(&winner); err != nil {
		t.Fatal(err)
	}
	var captured, released atomic.Int64
	storm(func(i int) error {
		if i%2 == 0 {
			err := b.capture(winner, 500)
			if err == nil {
				captured.Add(1)
			}
			return err
		}
		err := b.release(winner)
		if err == nil {
			released.Add(1)
		}
		return err
	})
	if (captured.Load() == 0) == (released.Load() == 0) {
		t.Fatalf("captured %d times and released %d times, want exactly one of the two", captured.Load(), released.Load())
	}
}

// A defect made by someone who can switch triggers off must be found.
func TestAudit_FindsWhatWasChangedBehindTheBooks(t *testing.T) {
	t.Parallel()
	l, err := ledger.New("RUB")
	if err != nil {
		t.Fatal(err)
	}
	b := books{l, pgtest.New(t), t}
	b.bonus("welcome", 300)
	tamper := `ALTER TABLE ledger_accounts DISABLE TRIGGER ALL; UPDATE ledger_accounts SET balance = 301 WHERE kind = 'bonus'`
	if _, err := b.pool.Exec(context.Background(), tamper, pgx.QueryExecModeSimpleProtocol); err != nil {
		t.Fatal(err)
	}
	defects, err := ledger.Audit(context.Background(), b.pool)
	if err != nil || len(defects) == 0 {
		t.Fatalf("audit found %v, %v; want the changed balance", defects, err)
	}
}

func TestStatement_ListsMovementsNewestFirst(t *testing.T) {
	t.Parallel()
	b := open(t)
	b.bonus("welcome", 300)
	if err := errors.Join(b.hold("g1", 100), b.capture("g1", 100)); err != nil {
		t.Fatal(err)
	}
	lines, err := ledger.Statement(context.Background(), b.pool, user, 10)
	if err != nil {
		t.Fatal(err)
	}
	if len(lines) != 4 || lines[0].Kind != "capture" || lines[3].Kind != "topup" || lines[3].Amount != 300 {
		t.Fatalf("statement = %+v", lines)
	}
}

func TestAmount_String(t *testing.T) {
	t.Parallel()
	for amount, want := range map[ledger.Amount]string{0: "0.00", 5: "0.05", 1850: "18.50", -64: "-0.64", -9223372036854775808: "-92233720368547758.08"} {
		if got := amount.String(); got != want {
			t.Errorf("%d = %q, want %q", int64(amount), got, want)
		}
	}
}
