package main

import "time"

// settings tell a worker what to be. The parent passes them in the environment.
type settings struct {
	Instance string
	LockURL  string
	WorkURL  string
	WaitsURL string // where the question whether work waits goes; "" for WorkURL
	Pooled   bool   // the URLs lead to a transaction pooler
	Mode     string

	Heartbeat, Stale, Idle, Drain time.Duration

	StartUp time.Duration // before it campaigns
	Warm    time.Duration // between grant and ACTIVE
	Pace    time.Duration // between two fenced commits; negative: one commit per term
	Rest    time.Duration // up to this long idle in every eighth open transaction
	Step    time.Duration // length of a step of an outside job; 0: no jobs
	Steps   int           // of a job
	Actors  int           // that do jobs at once; 0 is 1
	Conns   int           // of the work pool
	Lazy    bool          // which opens none ahead
	Linger  time.Duration // from the release to the end of the process
}

// environment is where a worker finds its settings.
const environment = "LOCKFAULTS_WORKER"

// order is what the parent tells a running worker.
type order struct {
	Do  string        `json:"do"`
	For time.Duration `json:"for,omitempty"`
}

// What a worker can be told.
const (
	doRest    = "rest"    // idle inside the next fenced transaction, and say so
	doLate    = "late"    // run the next fenced statement for that long, and say so
	doHang    = "hang"    // make no more progress
	doExhaust = "exhaust" // take all connections of the work pool for that long
)

// event is one thing that a worker did or noticed. Times are CLOCK_BOOTTIME in
// nanoseconds, which all processes of a machine share.
type event struct {
	Kind  string `json:"k"`
	At    int64  `json:"t"`
	From  int64  `json:"f,omitempty"` // when it began: before the call, before Check
	Epoch int64  `json:"e,omitempty"`
	ID    string `json:"i,omitempty"` // of the operation or job
	Text  string `json:"x,omitempty"`

	member *member // who said it, and when the parent heard it
	seen   int64
}

// The kinds of events.
const (
	evState   = "state"   // Text is the new state
	evMode    = "mode"    // Text is the mode found
	evTerm    = "term"    // work begins; From is when waiting began, Text the barrier
	evLost    = "lost"    // Text is why
	evWrite   = "write"   // a fenced commit was tried; Text is the outcome
	evResting = "resting" // idle in a fenced transaction, or a late statement was sent
	evBegin   = "begin"   // a step of a job begins outside the database
	evEnd     = "end"     // and has ended
	evExit    = "exit"    // the parent noticed the end of the process
)

// The outcomes of a fenced commit.
const (
	outcomeOK      = "ok"
	outcomeFenced  = "fenced" // refused by the fence
	outcomeUnknown = "unknown"
)
