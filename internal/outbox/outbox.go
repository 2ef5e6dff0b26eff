// Package outbox sends what the program owes its users in Telegram (station 8
// of the route).
//
// A room adds a row in the transaction that decides what must be said; nothing
// is sent from inside a transaction. The ACTIVE instance claims a row in a
// fenced commit, sends it, and records the outcome in another. Messages of one
// chat go out in order, one at a time; answers to button presses overtake.
//
// Telegram has no idempotency keys. When an answer is lost, a message that may
// be repeated (an edit) is sent again; all others end as unknown and are never
// sent twice.
//
// The package understands no kind of message: it asks a Sender, which is bot.
package outbox

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"kiosk/internal/pg"
	"kiosk/internal/trace"
)

//go:embed sql/add.sql
var sqlAdd string

//go:embed sql/due.sql
var sqlDue string

//go:embed sql/next.sql
var sqlNext string

//go:embed sql/claim.sql
var sqlClaim string

//go:embed sql/settle.sql
var sqlSettle string

//go:embed sql/postpone.sql
var sqlPostpone string

//go:embed sql/stats.sql
var sqlStats string

// Draft is a message to be sent.
type Draft struct {
	Key    string // drafts with the same key are one message; "" never is
	ChatID int64
	Kind   string // what it is; the Sender knows
	Args   any    // what the Sender needs, as JSON
	Urgent bool   // an answer to a press: not behind the chat's other messages

	// Gather holds the message back for so long. Until it goes out, another draft
	// with the same key replaces it: a card for each picture of an album becomes one.
	Gather time.Duration
}

// Add puts a message into the outbox within the caller's transaction. It goes
// out after the commit, under the trace of ctx. Adding the same key again changes nothing.
func Add(ctx context.Context, tx pgx.Tx, d Draft) error {
	args, err := json.Marshal(d.Args)
	if err != nil {
		return fmt.Errorf("encode a message of kind %s: %w", d.Kind, err)
	}
	tag, err := tx.Exec(ctx, sqlAdd, d.Key, d.ChatID, d.Kind, args, d.Urgent, d.Gather.Milliseconds(), d.Gather > 0, trace.Of(ctx))
	if err != nil {
		return fmt.Errorf("add a message of kind %s: %w", d.Kind, err)
	}
	if d.Gather > 0 && tag.RowsAffected() == 0 { // the one to replace is under way: this is news
		d.Key, d.Gather = "", 0
		return Add(ctx, tx, d)
	}
	return nil
}

// Message is a claimed row on its way out.
type Message struct {
	ID       int64
	Key      string
	ChatID   int64
	Kind     string
	Args     json.RawMessage
	Attempts int // this one included
	Urgent   bool
	Trace    trace.ID // of what it comes of; zero: none

	waited time.Duration // since it was added
}

// State is how a message ended.
type State string

// The ends of a message.
const (
	Sent    State = "sent"
	Refused State = "refused" // Telegram said no, or the person is gone
	Unknown State = "unknown" // the answer was lost
)

// Receipt is what a Sender wants to remember of a sent message.
type Receipt json.RawMessage

// Sender renders and sends messages.
type Sender interface {
	// Send makes the call, outside any transaction. Its error is the Bot API
	// client's, whose outcome decides what happens next. An error wrapped in
	// ErrUnsendable ends the message.
	Send(ctx context.Context, m Message) (Receipt, error)

	// Settle runs in the transaction that records the end of a message.
	Settle(ctx context.Context, tx pgx.Tx, m Message, end State, receipt Receipt, cause error) error

	// Repeatable reports that sending a message of this kind twice does no harm.
	Repeatable(kind string) bool
}

// ErrUnsendable says that a message cannot be rendered and never will be.
var ErrUnsendable = errors.New("the message cannot be sent")

// Stats is the outbox as health reports it.
type Stats struct {
	Pending       int64   `json:"pending"`
	OldestSeconds float64 `json:"oldest_seconds"`
	LateSeconds   float64 `json:"late_seconds"` // how long the longest overdue one has been due
	Unknown       int64   `json:"unknown"`
	UnknownRecent int64   `json:"unknown_last_hour"`
}

// ReadStats counts what waits and what ended as unknown.
func ReadStats(ctx context.Context, db pg.DB) (Stats, error) {
	var s Stats
	if err := db.QueryRow(ctx, sqlStats).Scan(&s.Pending, &s.OldestSeconds, &s.LateSeconds, &s.Unknown, &s.UnknownRecent); err != nil {
		return s, fmt.Errorf("count the outbox: %w", err)
	}
	return s, nil
}
