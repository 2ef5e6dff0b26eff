package kiesim

import (
	"context"
	"encoding/json"
	"slices"
	"sync"
	"time"
)

const (
	maxCalls       = 10000    // the journal forgets older ones
	maxJournalBody = 64 << 10 // longer bodies are cut
)

// Call is one request that the server received, or one callback that it sent (Method "callback"; Path is then the address).
type Call struct {
	ID         int64           `json:"id"`
	Time       time.Time       `json:"time"`
	Method     string          `json:"method"` // as in Fault.Method, or "other" for a path that does not exist
	HTTPMethod string          `json:"http_method"`
	Path       string          `json:"path"` // with the query
	Model      string          `json:"model,omitempty"`
	Body       json.RawMessage `json:"body,omitempty"`  // JSON as it came; anything else as a JSON string; files are left out
	Fault      string          `json:"fault,omitempty"` // the action that was applied
	Code       int             `json:"code"`            // the code of the answer; 0 while there is none and when it was cut off
}

// journal keeps the latest calls and wakes those who wait for one.
type journal struct {
	mu      sync.Mutex
	last    int64
	calls   []Call
	changed chan struct{} // closed and replaced at every change
}

func newJournal() *journal { return &journal{changed: make(chan struct{})} }

func (j *journal) open(c Call) int64 {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.last++
	c.ID, c.Time = j.last, time.Now()
	if len(j.calls) == maxCalls {
		j.calls = slices.Clone(j.calls[maxCalls/10:])
	}
	j.calls = append(j.calls, c)
	j.wake()
	return c.ID
}

func (j *journal) close(id int64, code int) {
	j.mu.Lock()
	defer j.mu.Unlock()
	// IDs are consecutive, so the place of one follows from the first.
	if i := int(id - j.calls[0].ID); i >= 0 {
		j.calls[i].Code = code
		j.wake()
	}
}

func (j *journal) wake() {
	close(j.changed)
	j.changed = make(chan struct{})
}

// after returns a copy of the calls with a greater ID, and a channel that is closed at the next change.
func (j *journal) after(id int64) ([]Call, <-chan struct{}) {
	j.mu.Lock()
	defer j.mu.Unlock()
	i, _ := slices.BinarySearchFunc(j.calls, id+1, func(c Call, id int64) int { return int(c.ID - id) })
	return slices.Clone(j.calls[i:]), j.changed
}

// journalBody makes any body fit into JSON.
func journalBody(body []byte) json.RawMessage {
	switch {
	case len(body) == 0:
		return nil
	case len(body) <= maxJournalBody && json.Valid(body):
		return body
	case len(body) > maxJournalBody:
		body = body[:maxJournalBody]
	}
	return encode(string(body))
}

// Calls returns the calls in the journal, oldest first.
func (s *Server) Calls() []Call {
	calls, _ := s.journal.after(0)
	return calls
}

// WaitFor blocks until done accepts the journal, looking at it anew at every change, or until ctx ends.
func (s *Server) WaitFor(ctx context.Context, done func([]Call) bool) error {
	for {
		calls, changed := s.journal.after(0)
		if done(calls) {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
