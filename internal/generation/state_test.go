package generation_test

import (
	"errors"
	"testing"

	"kiosk/internal/generation"
)

func states() []generation.State {
	return []generation.State{generation.Held, generation.Submitting, generation.Running, generation.Unknown, generation.Succeeded, generation.Failed}
}

func events() []generation.Event {
	return []generation.Event{
		generation.Submit, generation.Accepted, generation.Deferred, generation.Refused, generation.Lost,
		generation.Adopted, generation.Expired, generation.Finished, generation.Broke,
	}
}

// The drawing in state.go, as a table. What is not listed is refused.
func TestNext_IsTheDrawing(t *testing.T) {
	t.Parallel()
	type step struct {
		from  generation.State
		event generation.Event
	}
	drawn := map[step]generation.State{
		{generation.Held, generation.Submit}:         generation.Submitting,
		{generation.Held, generation.Refused}:        generation.Failed,
		{generation.Held, generation.Expired}:        generation.Failed,
		{generation.Submitting, generation.Accepted}: generation.Running,
		{generation.Submitting, generation.Deferred}: generation.Held,
		{generation.Submitting, generation.Refused}:  generation.Failed,
		{generation.Submitting, generation.Lost}:     generation.Unknown,
		{generation.Unknown, generation.Adopted}:     generation.Running,
		{generation.Unknown, generation.Expired}:     generation.Failed,
		{generation.Running, generation.Finished}:    generation.Succeeded,
		{generation.Running, generation.Broke}:       generation.Failed,
		{generation.Running, generation.Expired}:     generation.Failed,
	}
	for _, from := range states() {
		for _, event := range events() {
			want, ok := drawn[step{from, event}]
			got, err := generation.Next(from, event)
			var refused *generation.TransitionError
			switch {
			case ok && (err != nil || got != want):
				t.Errorf("%s + %s = %s, %v; want %s", from, event, got, err, want)
			case !ok && !errors.As(err, &refused):
				t.Errorf("%s + %s = %s, %v; want a refusal", from, event, got, err)
			}
		}
	}
}

// From every state an end can be reached, and nothing leaves an end: no
// generation can be stuck by construction, and none can be settled twice.
func TestNext_EveryStateReachesAnEndAndEndsAreFinal(t *testing.T) {
	t.Parallel()
	for _, start := range states() {
		reached := map[generation.State]bool{start: true}
		for grew := true; grew; {
			grew = false
			for from := range reached {
				for _, e := range events() {
					to, err := generation.Next(from, e)
					if err == nil && from.Final() {
						t.Errorf("%s leaves an end", from)
					}
					if err == nil && !reached[to] {
						reached[to], grew = true, true
					}
				}
			}
		}
		if !reached[generation.Failed] && !reached[generation.Succeeded] {
			t.Errorf("%s reaches no end", start)
		}
	}
}

// A submission is never repeated once it may have been accepted.
func TestNext_UnknownNeverGoesBackToASubmission(t *testing.T) {
	t.Parallel()
	for _, e := range events() {
		to, err := generation.Next(generation.Unknown, e)
		if err == nil && (to == generation.Held || to == generation.Submitting) {
			t.Errorf("unknown + %s = %s: it could be paid for twice", e, to)
		}
	}
}
