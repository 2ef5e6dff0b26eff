// Package fault classifies errors at the border between rooms and people.
//
// An error that a person may cause or see carries a Kind, a text that is safe
// to show, and sometimes advice when to try again. Every other error counts as
// Internal: people read a neutral sentence, and only the log has the cause.
//
// The package imports nothing of ours, so every room may use it.
package fault

import (
	"errors"
	"time"
)

// Kind says what sort of failure an error is, so that each border (chat, HTTP,
// command line) can answer it without knowing its cause.
type Kind int

// The kinds. The zero value is Internal, which is what unknown errors are.
const (
	Internal     Kind = iota // a defect or an unforeseen failure: ours
	Invalid                  // the input is wrong; the text says what to change
	NotFound                 // the thing named does not exist
	Conflict                 // the thing is in a state that forbids this now
	Denied                   // the caller may not do this
	Insufficient             // the balance does not cover it
	Unavailable              // a dependency is down or busy: try later
)

// String returns the kind's stable name, as logs and JSON carry it.
func (k Kind) String() string {
	switch k {
	case Invalid:
		return "invalid"
	case NotFound:
		return "not_found"
	case Conflict:
		return "conflict"
	case Denied:
		return "denied"
	case Insufficient:
		return "insufficient"
	case Unavailable:
		return "unavailable"
	case Internal:
		return "internal"
	}
	return "internal"
}

// Error is an error with a kind and a text for people. Build it with New or Wrap.
type Error struct {
	kind  Kind
	text  string
	retry time.Duration
	cause error
}

// New returns an error of the given kind whose text may be shown to people.
func New(kind Kind, text string) *Error {
	return &Error{kind: kind, text: text}
}

// Wrap returns cause classified as kind; people see text, logs see both.
func Wrap(cause error, kind Kind, text string) *Error {
	return &Error{kind: kind, text: text, cause: cause}
}

// After returns a copy of e that advises to try again no sooner than d.
func (e *Error) After(d time.Duration) *Error {
	c := *e
	c.retry = d
	return &c
}

// Error returns the text and the cause, for logs.
func (e *Error) Error() string {
	if e.cause == nil {
		return e.text
	}
	return e.text + ": " + e.cause.Error()
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.cause }

// KindOf returns the kind of the outermost classified error in err's chain,
// and Internal when there is none.
func KindOf(err error) Kind {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.kind
	}
	return Internal
}

// Text returns what people may read about err. It never contains the text of
// an unclassified error.
func Text(err error) string {
	var e *Error
	if errors.As(err, &e) && e.kind != Internal {
		return e.text
	}
	return "Something went wrong on our side. Please try again in a minute."
}

// RetryAfter returns the advice that err carries, if any.
func RetryAfter(err error) (time.Duration, bool) {
	var e *Error
	if errors.As(err, &e) && e.retry > 0 {
		return e.retry, true
	}
	return 0, false
}
