package singleton

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

//go:embed sql/history.sql
var sqlHistory string

//go:embed sql/takeovers.sql
var sqlTakeovers string

//go:embed sql/standbys.sql
var sqlStandbys string

//go:embed sql/holding.sql
var sqlHolding string

//go:embed sql/force.sql
var sqlForce string

//go:embed sql/domain.sql
var sqlDomain string

// DB reads and writes: a pool, a connection, a transaction.
type DB interface {
	Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error)
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

// Event is one row of the lock's history.
type Event struct {
	At       time.Time `json:"at"`
	Epoch    int64     `json:"epoch"`
	Kind     string    `json:"kind"` // acquired, released, lost, takeover, asked, alarm
	Instance string    `json:"instance"`
	Detail   string    `json:"detail"`
}

// History returns the newest events of a lock, newest first.
func History(ctx context.Context, db DB, name string, limit int) ([]Event, error) {
	rows, err := db.Query(ctx, sqlHistory, name, limit)
	if err != nil {
		return nil, fmt.Errorf("read the lock's history: %w", err)
	}
	events, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Event])
	if err != nil {
		return nil, fmt.Errorf("read the lock's history: %w", err)
	}
	return events, nil
}

// Takeovers counts changes of the holder that it did not want, by reason.
type Takeovers struct {
	Heartbeat, Idle, Forced int64
	Last                    *time.Time
}

// ReadTakeovers returns the counts of a lock's whole history.
func ReadTakeovers(ctx context.Context, db DB, name string) (Takeovers, error) {
	var t Takeovers
	if err := db.QueryRow(ctx, sqlTakeovers, name).Scan(&t.Heartbeat, &t.Idle, &t.Forced, &t.Last); err != nil {
		return t, fmt.Errorf("count takeovers: %w", err)
	}
	return t, nil
}

// Holding is the lock as the database has it. Ages are by the database's clock
// and for people only: no decision rests on them.
type Holding struct {
	Held         bool          `json:"held"`
	Holder       string        `json:"holder"` // the present or last one
	Version      string        `json:"version"`
	Mode         Mode          `json:"mode"`
	Epoch        int64         `json:"epoch"`
	Since        time.Duration `json:"since_ns"`
	HeartbeatAge time.Duration `json:"heartbeat_age_ns"`
	Beats        int64         `json:"beats"`
	Progress     int64         `json:"progress"`
	Waiting      bool          `json:"waiting"`
	Asked        bool          `json:"asked"` // to step down
	Standbys     []string      `json:"standbys"`
}

// ReadHolding returns the lock's present state and who waits for it. It returns
// ErrUnknownLock for a name that nobody has campaigned for.
func ReadHolding(ctx context.Context, db DB, name string) (Holding, error) {
	var h Holding
	var since, beat float64
	err := db.QueryRow(ctx, sqlHolding, name).Scan(&h.Held, &h.Holder, &h.Version, &h.Mode, &h.Epoch, &since, &beat,
		&h.Beats, &h.Progress, &h.Waiting, &h.Asked)
	if errors.Is(err, pgx.ErrNoRows) {
		return h, ErrUnknownLock
	}
	if err != nil {
		return h, fmt.Errorf("read the lock: %w", err)
	}
	h.Since, h.HeartbeatAge = time.Duration(since*1e9), time.Duration(beat*1e9)
	rows, err := db.Query(ctx, sqlStandbys, key(name))
	if err != nil {
		return h, fmt.Errorf("list the standbys: %w", err)
	}
	if h.Standbys, err = pgx.CollectRows(rows, pgx.RowTo[string]); err != nil {
		return h, fmt.Errorf("list the standbys: %w", err)
	}
	return h, nil
}

// What the functions of this file refuse with.
var (
	ErrUnknownLock = errors.New("nobody has campaigned for this lock")
	ErrNotHeld     = errors.New("nobody holds the lock")
	ErrOtherHolder = errors.New("another instance holds the lock")
)

// StepDown asks the present holder to finish its work and hand over; holder, if
// not "", must be its instance. It returns the epoch that will end, at once:
// the holder hears it within milliseconds (session mode) or a heartbeat.
func StepDown(ctx context.Context, db DB, name, by, holder string) (epoch int64, err error) {
	h, err := ReadHolding(ctx, db, name)
	switch {
	case err != nil:
		return 0, err
	case !h.Held:
		return 0, ErrNotHeld
	case holder != "" && holder != h.Holder:
		return 0, fmt.Errorf("%w: %s", ErrOtherHolder, h.Holder)
	}
	if _, err := db.Exec(ctx, sqlAsk, name, h.Epoch, by, ""); err != nil {
		return 0, fmt.Errorf("ask %s to step down: %w", h.Holder, err)
	}
	return h.Epoch, nil
}

// Force ends the present term whatever its holder does: the fence refuses it
// from here on, and its session is ended. Acts of it outside the database may
// still be under way. It returns the name of the former holder.
func Force(ctx context.Context, db DB, name, by string) (former string, err error) {
	var epoch int64
	var ended bool
	err = db.QueryRow(ctx, sqlForce, name, by).Scan(&epoch, &former, &ended)
	if errors.Is(err, pgx.ErrNoRows) {
		return "", ErrUnknownLock
	}
	if err != nil {
		return "", fmt.Errorf("end the term by force: %w", err)
	}
	return former, nil
}

// Domain returns the id of the lock domain. All instances must see the same one:
// compare it when work and lock use different addresses of the database.
func Domain(ctx context.Context, db DB) (string, error) {
	var id string
	if err := db.QueryRow(ctx, sqlDomain).Scan(&id); err != nil {
		return "", fmt.Errorf("read the lock domain: %w", err)
	}
	return id, nil
}
