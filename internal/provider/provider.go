// Package provider says what a provider of models must be able to do, in the
// words of the generations that use it: submit a request, fetch what became of
// it, and report failures by kind.
//
// Providers have no idempotency keys. Whether a submission that got no answer
// was accepted is therefore a third outcome beside accepted and refused, and
// only the caller can wait for its resolution.
package provider

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"
)

// Request is one submission.
type Request struct {
	Model    string
	Input    map[string]any
	Callback string // URL that the provider calls at the end; it names the generation
}

// Provider runs models. Its methods are safe for concurrent use and obey ctx.
// An error is always an *Error.
type Provider interface {
	// Submit starts a run and returns the provider's id of it. It never repeats
	// a request by itself.
	Submit(ctx context.Context, r Request) (taskID string, err error)

	// Fetch returns what became of a run. It changes nothing.
	Fetch(ctx context.Context, taskID string) (Task, error)

	// Upload gives the provider a file and returns the URL by which a request
	// names it. Repeating it does no harm; the URL is good for a day.
	Upload(ctx context.Context, name string, file io.Reader) (url string, err error)
}

// State is where a run stands.
type State string

// The states of a run.
const (
	Queued    State = "queued"
	Running   State = "running"
	Succeeded State = "succeeded"
	Failed    State = "failed"
)

// Task is a run as its provider reports it.
type Task struct {
	ID       string
	State    State
	Progress int      // percent, 0 when unknown
	Results  []string // URLs, when succeeded
	Text     string   // a result that is no file, when succeeded
	Cause    Cause    // when failed
	Message  string   // the provider's words about the failure; no log may hold them
}

// Cause is why a submission or a run failed, as far as it matters to what is
// done next and to what people are told.
type Cause string

// The causes.
const (
	Moderation  Cause = "moderation"   // the content is not allowed; no other provider is asked
	BadInput    Cause = "bad_input"    // the request is wrong; repeating it is useless
	NoCredits   Cause = "no_credits"   // the operator's account is empty
	BadKey      Cause = "bad_key"      // the operator's key is wrong
	RateLimited Cause = "rate_limited" // dropped; repeat later
	Maintenance Cause = "maintenance"  // repeat in minutes
	Disabled    Cause = "disabled"     // the model is switched off there
	Broken      Cause = "broken"       // the provider failed
	NotFound    Cause = "not_found"    // no such run, or not visible yet
	Unreachable Cause = "unreachable"  // nothing was sent
	NoAnswer    Cause = "no_answer"    // sent, and no readable answer came
)

// Outcome says what became of a call.
type Outcome int

// The outcomes of a failed call.
const (
	Refused Outcome = iota // it had no effect
	Unknown                // it may have had its effect
)

// Error is a failed call. It never contains the key.
type Error struct {
	Outcome Outcome
	Cause   Cause
	Code    int // the provider's, 0 if there was none
	Message string
	After   time.Duration // earliest repetition that makes sense; 0: none does
}

// Error names cause, code and the provider's words.
func (e *Error) Error() string {
	return fmt.Sprintf("provider: %s (%d): %s", e.Cause, e.Code, e.Message)
}

// OurWords returns the message if it is not the provider's, else nothing: a
// provider may quote what a person wrote, which no log may hold.
func (e *Error) OurWords() string {
	if e.Code != 0 {
		return ""
	}
	return e.Message
}

// AsError returns err as an *Error. What is none counts as an unknown outcome.
func AsError(err error) *Error {
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	return &Error{Outcome: Unknown, Cause: NoAnswer, Message: err.Error()}
}
