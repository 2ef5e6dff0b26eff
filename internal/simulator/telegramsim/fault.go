package telegramsim

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
)

// Fault makes the simulator misbehave on purpose.
type Fault struct {
	ID          int64  `json:"id,omitempty"`          // given by the simulator
	Method      string `json:"method"`                // of the Bot API, "*" for each, or "webhook" for deliveries
	Action      string `json:"action"`                // one of the actions below
	Code        int    `json:"code,omitempty"`        // of fail; default 500
	Description string `json:"description,omitempty"` // of fail; default: Telegram's words for the code
	RetryAfter  int    `json:"retry_after,omitempty"` // seconds, of fail
	DelayMillis int    `json:"delay_ms,omitempty"`    // of delay; of reorder: how long at most (default 10 s)
	Count       int    `json:"count"`                 // how often; 0 = until cleared
	ChatID      int64  `json:"chat_id,omitempty"`     // only calls or updates of this chat
	Hits        int    `json:"hits"`                  // how often it took part so far
}

// The actions of a Fault. Duplicate and Reorder are for deliveries, Fail, HTML and Blocked for calls.
const (
	FaultFail       = "fail"        // an error in the form of the Bot API
	FaultHTML       = "html"        // 502 with a page instead of JSON
	FaultBlocked    = "blocked"     // 403, as if the person had blocked the bot
	FaultDelay      = "delay"       // later; goes together with another fault
	FaultDropBefore = "drop_before" // the connection is cut, nothing happened
	FaultDropAfter  = "drop_after"  // it happened, but the answer is lost
	FaultDuplicate  = "duplicate"   // each update is delivered twice
	FaultReorder    = "reorder"     // an update is held back until one of another queue was taken
)

// FaultError says why a Fault was refused and what would have been possible.
type FaultError struct{ Reason string }

func (e *FaultError) Error() string { return "telegram simulator: fault refused: " + e.Reason }

const hookMethod = "webhook"

func hookActions() []string {
	return []string{FaultDelay, FaultDropBefore, FaultDropAfter, FaultDuplicate, FaultReorder}
}

func callActions() []string {
	return []string{FaultFail, FaultHTML, FaultBlocked, FaultDelay, FaultDropBefore, FaultDropAfter}
}

// fault is one that is set, with how often it may still strike.
type fault struct {
	Fault
	left int
}

// Fault sets a fault and returns it with its ID. Faults are tried in the order in which they were set.
func (s *Server) Fault(f Fault) (Fault, error) {
	if err := s.checkFault(&f); err != nil {
		return Fault{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lastFault++
	f.ID, f.Hits = s.lastFault, 0
	s.faults = append(s.faults, &fault{Fault: f, left: f.Count})
	return f, nil
}

// Faults returns what is set now.
func (s *Server) Faults() []Fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]Fault, 0, len(s.faults))
	for _, f := range s.faults {
		out = append(out, f.Fault)
	}
	return out
}

// ClearFaults removes every fault, and lets go of the updates that one holds back.
func (s *Server) ClearFaults() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = nil
	s.lanes.releaseHeld(nil, s.now())
	nudge(s.wake)
}

func (s *Server) checkFault(f *Fault) error {
	if f.Count < 0 || f.DelayMillis < 0 || f.RetryAfter < 0 {
		return &FaultError{"count, delay_ms and retry_after cannot be negative"}
	}
	actions := callActions()
	if f.Method == hookMethod {
		actions = hookActions()
	}
	if f.Method != hookMethod && f.Method != "*" {
		m, ok := s.methods[strings.ToLower(f.Method)]
		if !ok {
			return &FaultError{fmt.Sprintf("unknown method %q; known: *, %s, %s", f.Method, hookMethod,
				strings.Join(s.methodNames(), ", "))}
		}
		f.Method = m.name
	}
	if !slices.Contains(actions, f.Action) {
		return &FaultError{fmt.Sprintf("unknown action %q for method %q; known: %s", f.Action, f.Method,
			strings.Join(actions, ", "))}
	}
	if f.Code != 0 && (f.Code < 400 || f.Code > 599) {
		return &FaultError{"code must be from 400 to 599"}
	}
	return nil
}

func (s *Server) methodNames() []string {
	names := make([]string, 0, len(s.methods))
	for _, m := range s.methods {
		names = append(names, m.name)
	}
	slices.Sort(names)
	return names
}

// taken is what the faults have in store for one call or one delivery.
type taken struct {
	delay time.Duration
	main  *Fault // at most one besides the delay
	names []string
}

func (t taken) String() string { return strings.Join(t.names, "+") }

func (t taken) is(action string) bool { return t.main != nil && t.main.Action == action }

func (t taken) dropsAfter() bool { return t.is(FaultDropAfter) }

// before is the answer of a fault that keeps the call from taking effect.
func (t taken) before() (reply, bool) {
	if t.main == nil {
		return reply{}, false
	}
	switch t.main.Action {
	case FaultFail:
		return reply{err: t.main.asError()}, true
	case FaultHTML:
		return reply{html: true}, true
	case FaultBlocked:
		return reply{err: errBlocked}, true
	case FaultDropBefore:
		return reply{cut: true}, true
	}
	return reply{}, false
}

func (f *Fault) asError() *apiError {
	code := orDefault(f.Code, http.StatusInternalServerError)
	description := f.Description
	switch {
	case description != "":
	case code == http.StatusTooManyRequests:
		description = fmt.Sprintf("Too Many Requests: retry after %d", f.RetryAfter)
	default:
		description = http.StatusText(code)
	}
	return &apiError{Code: code, Description: description, RetryAfter: f.RetryAfter}
}

// takeFaults picks the first delay and the first other fault that fit, and counts them.
func (s *Server) takeFaults(methodName string, chatID int64) taken {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.takeFaultsLocked(methodName, chatID, "")
}

func (s *Server) takeFaultsLocked(methodName string, chatID int64, except string) taken {
	var t taken
	for _, f := range s.faults {
		if !f.fits(methodName, chatID) || f.Action == except {
			continue
		}
		isDelay := f.Action == FaultDelay
		if isDelay && t.delay > 0 || !isDelay && t.main != nil {
			continue
		}
		f.Hits++
		f.left--
		t.names = append(t.names, f.Action)
		if isDelay {
			t.delay = time.Duration(f.DelayMillis) * time.Millisecond
			continue
		}
		struck := f.Fault
		t.main = &struck
	}
	s.faults = slices.DeleteFunc(s.faults, func(f *fault) bool { return f.Count > 0 && f.left <= 0 })
	return t
}

func (f *fault) fits(methodName string, chatID int64) bool {
	if f.ChatID != 0 && f.ChatID != chatID {
		return false
	}
	if f.Method == "*" {
		return methodName != hookMethod
	}
	return f.Method == methodName
}
