package generation

import "fmt"

// State is where a generation stands. The column generations.state holds it.
type State string

// The states. Succeeded and Failed are final.
const (
	Held       State = "held"       // ordered and paid for; nothing was sent
	Submitting State = "submitting" // a submission may be under way
	Running    State = "running"    // the provider has accepted it
	Unknown    State = "unknown"    // a submission's answer was lost; it may run or not
	Succeeded  State = "succeeded"
	Failed     State = "failed"
)

// Event is what can happen to a generation.
type Event string

// The events.
const (
	Submit   Event = "submit"   // a worker is about to call the provider
	Accepted Event = "accepted" // the provider named its task
	Deferred Event = "deferred" // the provider dropped it for now; nothing runs
	Refused  Event = "refused"  // the provider will not run it
	Lost     Event = "lost"     // no answer, or the worker died before recording it
	Adopted  Event = "adopted"  // a callback named the task, and the provider knows it
	Expired  Event = "expired"  // waited long enough
	Finished Event = "finished" // the provider has the result
	Broke    Event = "broke"    // the provider reports a failure
)

// transitions is the whole machine:
//
//	        submit            accepted           finished
//	held ----------> submitting ----------> running ----------> succeeded
//	 |  <----------      | |                 ^    |
//	 |    deferred       | | lost     adopted|    | broke, expired
//	 |                   | +------> unknown -+    |
//	 | expired           | refused     | expired  |
//	 +-------------------+-------------+----------+-----------> failed
func transitions() map[State]map[Event]State {
	return map[State]map[Event]State{
		Held:       {Submit: Submitting, Expired: Failed, Refused: Failed},
		Submitting: {Accepted: Running, Deferred: Held, Refused: Failed, Lost: Unknown},
		Unknown:    {Adopted: Running, Expired: Failed},
		Running:    {Finished: Succeeded, Broke: Failed, Expired: Failed},
	}
}

// TransitionError is an event that a state does not take. It is a conflict with
// what has happened in between, or a defect.
type TransitionError struct {
	From  State
	Event Event
}

// Error names state and event.
func (e *TransitionError) Error() string {
	return fmt.Sprintf("a generation that is %s takes no %s", e.From, e.Event)
}

// Next returns the state after an event, or a *TransitionError.
func Next(from State, event Event) (State, error) {
	to, ok := transitions()[from][event]
	if !ok {
		return "", &TransitionError{From: from, Event: event}
	}
	return to, nil
}

// Final reports that nothing can happen any more.
func (s State) Final() bool { return s == Succeeded || s == Failed }
