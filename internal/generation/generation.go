// Package generation carries one order from the money held to the result
// delivered (stations 5 to 7 of the route).
//
// The truth is the state column; state.go is the machine. Every transition is
// one fenced transaction together with its money, its messages and its line in
// generation_events. A hold is settled exactly once: captured with success,
// released with failure.
//
// A provider call is never made inside a transaction and never without a
// committed intention before it: state submitting is stored first. A
// submission whose answer was lost is waited for (the callback URL carries the
// generation's id) and never blindly repeated, so nothing is paid for twice.
//
// Callbacks are hints. The result is always fetched from the provider.
package generation

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"kiosk/internal/catalog"
	"kiosk/internal/fault"
	"kiosk/internal/ledger"
	"kiosk/internal/pg"
	"kiosk/internal/provider"
	"kiosk/internal/trace"
)

//go:embed sql/find_request.sql
var sqlFindRequest string

//go:embed sql/insert.sql
var sqlInsert string

//go:embed sql/get.sql
var sqlGet string

//go:embed sql/lock.sql
var sqlLock string

//go:embed sql/due.sql
var sqlDue string

//go:embed sql/move.sql
var sqlMove string

//go:embed sql/postpone.sql
var sqlPostpone string

//go:embed sql/stage.sql
var sqlStage string

//go:embed sql/hint.sql
var sqlHint string

//go:embed sql/result_add.sql
var sqlResultAdd string

//go:embed sql/results.sql
var sqlResults string

//go:embed sql/result_file.sql
var sqlResultFile string

//go:embed sql/running_of_user.sql
var sqlRunningOfUser string

//go:embed sql/free_today.sql
var sqlFreeToday string

//go:embed sql/stats.sql
var sqlStats string

//go:embed sql/events.sql
var sqlEvents string

//go:embed sql/list.sql
var sqlList string

// ID names a generation.
type ID = uuid.UUID

// Limits are the patience and the generosity of the service. The zero value of
// a field means its default.
type Limits struct {
	PerUser       int           // generations of one user at the same time, default 5
	FreeDaily     int           // free runs of one user in 24 hours, default none
	HeldFor       time.Duration // a submission that keeps being dropped, default 15 min
	UnknownFor    time.Duration // a lost submission waits for its callback, default 15 min
	RunningFor    time.Duration // the provider's work, default 2 h
	FirstPoll     time.Duration // after acceptance, default 2.5 s
	SubmitTimeout time.Duration // default 45 s
}

func (l Limits) complete() Limits {
	set := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	if l.PerUser == 0 {
		l.PerUser = 5
	}
	set(&l.HeldFor, 15*time.Minute)
	set(&l.UnknownFor, 15*time.Minute)
	set(&l.RunningFor, 2*time.Hour)
	set(&l.FirstPoll, 2500*time.Millisecond)
	set(&l.SubmitTimeout, 45*time.Second)
	return l
}

// Deps are the parts that the service needs; all but Metrics and Tracer are required.
type Deps struct {
	Pool        *pgxpool.Pool
	Catalog     *catalog.Catalog
	Pricer      *catalog.Pricer
	Ledger      *ledger.Ledger
	Providers   map[string]provider.Provider // by the name that models give
	CallbackURL func(ID) string              // "" when callbacks cannot reach us
	OpenFile    OpenFile                     // what people have sent
	Downloader  *provider.Downloader         // for results that Telegram cannot fetch itself
	Limits      Limits
	Tracer      *trace.Tracer // may be nil
	Log         *slog.Logger
	Metrics     *Metrics // nil: not measured
}

// OpenFile opens a file that a person has sent, by the reference that the order's
// values hold. Its error is a *provider.Error, as if the provider had failed.
type OpenFile func(ctx context.Context, reference string) (*provider.File, error)

// Service takes orders and brings them to their end. It is safe for concurrent use.
type Service struct {
	Deps
}

// New checks the parts.
func New(d Deps) (*Service, error) {
	if d.Pool == nil || d.Catalog == nil || d.Pricer == nil || d.Ledger == nil || d.Providers == nil || d.CallbackURL == nil || d.OpenFile == nil || d.Downloader == nil || d.Log == nil {
		return nil, errors.New("generation: a part is missing")
	}
	for _, m := range d.Catalog.List("") {
		if d.Providers[m.Provider] == nil {
			return nil, fmt.Errorf("generation: model %s wants the provider %q, which is not there", m.ID, m.Provider)
		}
	}
	d.Limits = d.Limits.complete()
	if d.Metrics == nil {
		d.Metrics = NewMetrics(nil)
	}
	return &Service{Deps: d}, nil
}

// Generation is one order.
type Generation struct {
	ID        ID
	UserID    ledger.UserID
	ChatID    int64
	MessageID int64 // the chat message that shows the progress, 0 if there is none
	Language  string
	Model     string
	Params    catalog.Values
	Price     ledger.Amount
	Cost      catalog.USD
	Free      bool
	State     State
	Cause     string // why it failed
	Created   time.Time

	taskID, taskHint string
	claimEpoch       int64
	attempts         int
	stage            string
	submitted        time.Time
	due              bool
	age, submitAge   float64 // seconds, by the database's clock
}

// Result is one file that a generation made.
type Result struct {
	Position int
	Kind     string // image, video, audio, file
	URL      string // the provider's; valid for a limited time
	FileID   string // Telegram's, once sent; valid for ever
}

const holdPrefix = "gen:" // begins the keys of this room's holds

func holdKey(id ID) string { return holdPrefix + id.String() }

func scan(row pgx.Row) (Generation, error) {
	var g Generation
	err := row.Scan(&g.ID, &g.UserID, &g.ChatID, &g.MessageID, &g.Language, &g.Model, &g.Params, &g.Price, &g.Cost,
		&g.Free, &g.State, &g.Cause, &g.taskID, &g.taskHint, &g.claimEpoch, &g.attempts, &g.stage, &g.Created,
		&g.submitted, &g.due, &g.age, &g.submitAge)
	return g, err
}

// Get returns a generation, or a not_found error.
func Get(ctx context.Context, db pg.DB, id ID) (Generation, error) {
	g, err := scan(db.QueryRow(ctx, sqlGet, id))
	if pg.IsNoRows(err) {
		return g, fault.Wrap(err, fault.NotFound, "There is no such generation.")
	}
	if err != nil {
		return g, fmt.Errorf("read generation %s: %w", id, err)
	}
	return g, nil
}

// Results returns the files of a generation in order.
func Results(ctx context.Context, db pg.DB, id ID) ([]Result, error) {
	rows, err := db.Query(ctx, sqlResults, id)
	if err != nil {
		return nil, fmt.Errorf("read results of %s: %w", id, err)
	}
	return pgx.CollectRows(rows, pgx.RowToStructByPos[Result])
}

// KeepFile remembers Telegram's id of a delivered file, in the caller's transaction.
func KeepFile(ctx context.Context, tx pgx.Tx, id ID, position int, fileID string) error {
	if _, err := tx.Exec(ctx, sqlResultFile, id, position, fileID); err != nil {
		return fmt.Errorf("keep a file of %s: %w", id, err)
	}
	return nil
}

// OpenResult downloads a result from its provider.
func (s *Service) OpenResult(ctx context.Context, r Result) (*provider.File, error) {
	return s.Downloader.Open(ctx, r.URL)
}

// HistoryLine is one transition.
type HistoryLine struct {
	At       time.Time `json:"at"`
	Event    Event     `json:"event"`
	From, To State
	Epoch    int64  `json:"epoch"`
	Detail   string `json:"detail"`
}

// History returns the transitions of a generation, oldest first.
func History(ctx context.Context, db pg.DB, id ID) ([]HistoryLine, error) {
	rows, err := db.Query(ctx, sqlEvents, id)
	if err != nil {
		return nil, fmt.Errorf("read the history of %s: %w", id, err)
	}
	return pgx.CollectRows(rows, pgx.RowToStructByPos[HistoryLine])
}

// Stats is what health reports.
type Stats struct {
	Running       int64   `json:"running"`
	OldestSeconds float64 `json:"oldest_seconds"`
	LateSeconds   float64 `json:"late_seconds"` // how long the longest overdue one has been due
	Stuck         int64   `json:"stuck"`        // due for minutes, and nobody works on them
	Unknown       int64   `json:"unknown"`      // submitted, and the answer was lost
}

// ReadStats counts the generations under way.
func ReadStats(ctx context.Context, db pg.DB) (Stats, error) {
	var s Stats
	if err := db.QueryRow(ctx, sqlStats).Scan(&s.Running, &s.OldestSeconds, &s.LateSeconds, &s.Stuck, &s.Unknown); err != nil {
		return s, fmt.Errorf("count generations: %w", err)
	}
	return s, nil
}

// Line is one generation in a list.
type Line struct {
	ID      ID
	Model   string
	State   State
	Price   ledger.Amount
	Free    bool
	Created time.Time
}

// List returns a user's newest generations.
func List(ctx context.Context, db pg.DB, user ledger.UserID, limit int) ([]Line, error) {
	rows, err := db.Query(ctx, sqlList, user, limit)
	if err != nil {
		return nil, fmt.Errorf("list generations: %w", err)
	}
	return pgx.CollectRows(rows, pgx.RowToStructByPos[Line])
}
