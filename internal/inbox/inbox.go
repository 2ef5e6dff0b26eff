// Package inbox takes what the outside says: it verifies a webhook, stores it,
// and only then acknowledges it (station 1 of the route). On the ACTIVE
// instance it hands every stored message, once, to the room that understands
// it (station 2).
//
// Any instance receives, ACTIVE or PASSIVE. A message is acknowledged only after
// its row is committed; repetitions are recognised by the sender's own key.
// Webhooks that arrive together share one commit. Messages of one lane (one
// user) are handled one at a time, in order, each in one fenced transaction
// that also marks it done: its effects happen once, whatever dies. A handler
// calls nobody outside the database.
//
// The package understands no body. The wiring gives each source a function from
// raw bytes to an Envelope.
package inbox

import (
	_ "embed"
	"errors"
	"time"

	"kiosk/internal/trace"
)

//go:embed sql/store.sql
var sqlStore string

//go:embed sql/lanes_due.sql
var sqlLanesDue string

//go:embed sql/next.sql
var sqlNext string

//go:embed sql/done.sql
var sqlDone string

//go:embed sql/failed.sql
var sqlFailed string

//go:embed sql/stats.sql
var sqlStats string

//go:embed sql/listen.sql
var sqlListen string

// Envelope is a message as it is stored: the body and what can be said about
// it without acting on it.
type Envelope struct {
	Source   string // who sent it: "telegram", "kie"
	Key      string // the sender's own id; equal keys of one source are one message
	Lane     string // handled one at a time within a lane
	Queue    string // the sender's queue; arrival order counts within it
	Position int64  // the sender's number, which orders the queues of a lane
	Body     []byte
	Trace    trace.ID // of what comes of it; Store makes one when it is zero

	// Undecodable keeps the message for people and hands it to nobody.
	Undecodable bool
}

// Message is a stored message on its way to its handler.
type Message struct {
	ID       int64
	Source   string
	Key      string
	Lane     string
	Body     []byte
	Attempts int      // failed ones before this
	Trace    trace.ID // zero for rows from before there were any

	waited time.Duration // since it was stored
}

// ErrBusy says that the message could not be stored now and was not
// acknowledged; its sender will repeat it.
var ErrBusy = errors.New("the message could not be stored now")

// maxAttempts is after how many failures a message is set aside.
const maxAttempts = 5

// backoff is how long a lane rests after a failure that had failed others before it.
func backoff(failed int) time.Duration {
	return time.Duration(1<<min(failed, 6)) * 250 * time.Millisecond
}
