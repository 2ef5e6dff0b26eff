package kiesim

import (
	"crypto/rand"
	"encoding/hex"
	"slices"
	"time"
)

// State is where a task stands. The first three follow from the time alone.
//
//	waiting -> queuing -> generating -> success
//	                                 \> fail
type State string

// The states of the jobs API.
const (
	StateWaiting    State = "waiting"
	StateQueuing    State = "queuing"
	StateGenerating State = "generating"
	StateSuccess    State = "success"
	StateFail       State = "fail"
)

// keepTasks is how many finished tasks are remembered; running ones are never forgotten.
const keepTasks = 5000

// Task is one accepted createTask.
type Task struct {
	ID          string         `json:"id"`
	Model       string         `json:"model"`
	Input       map[string]any `json:"input"`
	Param       string         `json:"param"` // the request as recordInfo echoes it
	CallBackURL string         `json:"callback_url,omitempty"`
	Created     time.Time      `json:"created"`
	Due         time.Time      `json:"due"`                 // when it ends
	Ended       time.Time      `json:"ended,omitzero"`      // when it did
	State       State          `json:"state"`               // see State
	FailCode    string         `json:"fail_code,omitempty"` // decided when the task is accepted, shown when it ends
	FailMsg     string         `json:"fail_msg,omitempty"`
	Credits     float64        `json:"credits"`  // charged; 0 after a failure
	Notified    bool           `json:"notified"` // nothing is left to do about the callback
}

func newTaskID() string {
	var id [16]byte
	_, _ = rand.Read(id[:]) // Never fails: crypto/rand ends the program instead.
	return hex.EncodeToString(id[:])
}

func (t *Task) ended() bool { return t.State == StateSuccess || t.State == StateFail }

// at returns the task as it is seen at a moment: an unfinished one moves through its states in fixed shares of its time.
func (t *Task) at(now time.Time) Task {
	seen := *t
	if t.ended() {
		return seen
	}
	switch total, gone := t.Due.Sub(t.Created), now.Sub(t.Created); {
	case gone < total/10:
		seen.State = StateWaiting
	case gone < total/4:
		seen.State = StateQueuing
	default:
		seen.State = StateGenerating
	}
	return seen
}

// Tasks returns the tasks as they stand, oldest first.
func (s *Server) Tasks() []Task {
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	tasks := make([]Task, 0, len(s.order))
	for _, id := range s.order {
		tasks = append(tasks, s.tasks[id].at(now))
	}
	return tasks
}

func (s *Server) find(id string) (Task, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t, ok := s.tasks[id]
	if !ok {
		return Task{}, false
	}
	return t.at(time.Now()), true
}

// accept charges a task and remembers it. It reports false, changing nothing, when the balance is too low.
func (s *Server) accept(t *Task) bool {
	s.mu.Lock()
	if s.credits < t.Credits {
		s.mu.Unlock()
		return false
	}
	s.credits = round(s.credits - t.Credits)
	s.tasks[t.ID] = t
	s.order = append(s.order, t.ID)
	s.forget()
	s.mu.Unlock()
	s.save()
	return true
}

// forget drops the oldest finished tasks beyond keepTasks, a tenth at a time so that it is seldom done.
func (s *Server) forget() {
	if len(s.order) < keepTasks+keepTasks/10 {
		return
	}
	excess := len(s.order) - keepTasks
	s.order = slices.DeleteFunc(s.order, func(id string) bool {
		t := s.tasks[id]
		if excess == 0 || !t.ended() || !t.Notified {
			return false
		}
		excess--
		delete(s.tasks, id)
		return true
	})
}

// finish ends a task as was decided when it was accepted, and refunds a failed one. It is idempotent.
func (s *Server) finish(id string) Task {
	s.mu.Lock()
	t := s.tasks[id]
	changed := !t.ended()
	if changed {
		t.Ended = time.Now()
		t.State = StateSuccess
		if t.FailCode != "" {
			t.State = StateFail
			s.credits = round(s.credits + t.Credits)
			t.Credits = 0
		}
	}
	done := *t
	s.mu.Unlock()
	if changed {
		s.save()
	}
	return done
}

// settle notes that the callback of a task needs no more work.
func (s *Server) settle(id string) {
	s.mu.Lock()
	s.tasks[id].Notified = true
	s.mu.Unlock()
	s.save()
}

// run takes a task to its end and sends its callback. When the server closes in between, resume does the rest.
func (s *Server) run(t Task) {
	if !s.pause(s.ctx, time.Until(t.Due)) {
		return
	}
	done := s.finish(t.ID)
	if !done.Notified && s.notify(done) {
		s.settle(t.ID)
	}
}

// resume goes on with what an earlier Server left undone.
func (s *Server) resume() {
	for _, t := range s.Tasks() {
		if !t.ended() || !t.Notified {
			s.start(func() { s.run(t) })
		}
	}
}
