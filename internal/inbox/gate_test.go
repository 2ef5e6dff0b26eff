package inbox_test

import (
	"sync"
	"testing"
	"time"

	"kiosk/internal/inbox"
	"kiosk/singleton"
)

func (h *house) gate(secret string) *inbox.Gate {
	h.t.Helper()
	g, err := inbox.NewGate(h.pool, source, secret, quiet)
	h.must(err)
	return g
}

// change announces and registers a secret, as an ACTIVE instance that has it does.
func (h *house) change(term *singleton.Term, secret string, registered bool) *inbox.Gate {
	h.t.Helper()
	g := h.gate(secret)
	h.must(g.Announce(h.t.Context(), term))
	if registered {
		h.must(g.Registered(h.t.Context(), term))
	}
	return g
}

// wantAdmitted asks instances that know nothing yet, so that only the database counts.
func (h *house) wantAdmitted(want map[string]bool) {
	h.t.Helper()
	for secret, admitted := range want {
		if h.gate("unrelated").Admit(h.t.Context(), secret) != admitted {
			h.t.Errorf("%q admitted: %v, want %v", secret, !admitted, admitted)
		}
	}
}

func TestGate_BeforeAnythingIsAnnouncedItsOwnSecretCounts(t *testing.T) {
	t.Parallel()
	h := open(t)
	g := h.gate("one")
	for secret, want := range map[string]bool{"one": true, "two": false, "": false} {
		if g.Admit(t.Context(), secret) != want {
			t.Errorf("%q admitted: %v", secret, !want)
		}
	}
}

func TestGate_ThePreviousIsAdmittedUntilTheCurrentIsUsed(t *testing.T) {
	t.Parallel()
	h := open(t)
	term := h.elect("one", "")
	h.change(term, "one", true)
	h.wantAdmitted(map[string]bool{"one": true, "two": false})
	h.change(term, "two", false)
	h.wantAdmitted(map[string]bool{"one": true})
	h.change(term, "two", true) // announced twice, registered now
	h.wantAdmitted(map[string]bool{"one": true, "": false})
	h.wantAdmitted(map[string]bool{"two": true})
	h.wantAdmitted(map[string]bool{"one": false, "two": true})
}

func TestGate_ThePreviousLivesADayAfterTheRegistrationAndNoTimeBefore(t *testing.T) {
	t.Parallel()
	h := open(t)
	term := h.elect("one", "")
	h.change(term, "one", true)
	h.change(term, "two", false)
	h.exec(`UPDATE inbox_secrets SET registered_at = NULL`)
	h.wantAdmitted(map[string]bool{"one": true}) // however long the registration takes
	h.exec(`UPDATE inbox_secrets SET registered_at = clock_timestamp() - interval '23 hours 59 minutes'`)
	h.wantAdmitted(map[string]bool{"one": true})
	h.exec(`UPDATE inbox_secrets SET registered_at = clock_timestamp() - interval '24 hours 1 second'`)
	h.wantAdmitted(map[string]bool{"one": false})
	h.exec(`UPDATE inbox_secrets SET registered_at = clock_timestamp() - interval '24 hours' + interval '1 second'`)
	g := h.gate("unrelated")
	if !g.Admit(t.Context(), "one") {
		t.Error("refused a second too early")
	}
	eventually(t, "the end of the day, without another look", func() bool { return !g.Admit(t.Context(), "one") })
}

// Telegram goes on with what it took last, however often the setting changes
// before a registration succeeds.
func TestGate_WhatWasNeverRegisteredIsNoPrevious(t *testing.T) {
	t.Parallel()
	h := open(t)
	term := h.elect("one", "")
	h.change(term, "one", true)
	h.change(term, "two", false)
	h.change(term, "three", false)
	h.wantAdmitted(map[string]bool{"one": true, "two": false})
	h.change(term, "three", true)
	h.wantAdmitted(map[string]bool{"one": true, "two": false})
	h.wantAdmitted(map[string]bool{"three": true})
	h.wantAdmitted(map[string]bool{"one": false, "two": false})
}

// An instance whose secret was registered by hand, or by another instance a moment
// ago, admits it before anything is announced.
func TestGate_TheOwnSecretCountsUntilItIsSeenReplaced(t *testing.T) {
	t.Parallel()
	h := open(t)
	term := h.elect("one", "")
	h.change(term, "one", true)
	two := h.gate("two")
	for _, secret := range []string{"one", "two"} {
		if !two.Admit(t.Context(), secret) {
			t.Errorf("%q is refused before the change", secret)
		}
	}
	h.change(term, "two", true)
	eventually(t, "the change to be seen", func() bool { return two.Admit(t.Context(), "two") && !two.Admit(t.Context(), "one") })
	h.change(term, "three", true)
	h.wantAdmitted(map[string]bool{"three": true})
	eventually(t, "the next change to be seen", func() bool { return two.Admit(t.Context(), "three") })
	if two.Admit(t.Context(), "two") {
		t.Error("its own secret counts although another one has replaced it")
	}
}

// An instance that was there before the change learns of it from the first
// message that it does not know.
func TestGate_AnOlderInstanceLearnsOfTheChange(t *testing.T) {
	t.Parallel()
	h := open(t)
	term := h.elect("one", "")
	older := h.change(term, "one", true)
	if !older.Admit(t.Context(), "one") {
		t.Fatal("its own secret is refused")
	}
	h.change(term, "two", true)
	eventually(t, "the new secret", func() bool { return older.Admit(t.Context(), "two") })
	if older.Admit(t.Context(), "one") {
		t.Error("the previous secret is admitted after the new one was used")
	}
}

func TestGate_AFormerHolderAnnouncesNothing(t *testing.T) {
	t.Parallel()
	h := open(t)
	former := h.elect("one", "")
	h.change(former, "one", true)
	h.endSession()
	h.elect("two", "")
	g := h.gate("late")
	if err := g.Announce(t.Context(), former); err == nil {
		t.Error("a former holder announced a secret")
	}
	if err := g.Registered(t.Context(), former); err == nil {
		t.Error("a former holder registered a secret")
	}
	h.wantAdmitted(map[string]bool{"one": true, "late": false})
}

// A flood of strangers asks the database a few times a second at most.
func TestGate_StrangersCauseFewQuestions(t *testing.T) {
	t.Parallel()
	h := open(t)
	h.change(h.elect("one", ""), "one", true)
	pool, statements := h.countingPool()
	g, err := inbox.NewGate(pool, source, "one", quiet)
	h.must(err)
	began := time.Now()
	var crowd sync.WaitGroup
	for range 16 {
		crowd.Go(func() {
			for range 200 {
				if g.Admit(t.Context(), "stranger") {
					t.Error("a stranger was admitted")
				}
			}
		})
	}
	crowd.Wait()
	if n, most := statements.Load(), int64(2+time.Since(began)/(250*time.Millisecond)); n > most {
		t.Errorf("%d questions in %s, want %d at most", n, time.Since(began), most)
	}
}

// Without the database what is known goes on to count.
func TestGate_KnowledgeOutlivesTheDatabase(t *testing.T) {
	t.Parallel()
	h := open(t)
	h.change(h.elect("one", ""), "one", true)
	pool, _ := h.countingPool()
	g, err := inbox.NewGate(pool, source, "own", quiet)
	h.must(err)
	if !g.Admit(t.Context(), "one") {
		t.Fatal("refused")
	}
	pool.Close()
	if !g.Admit(t.Context(), "one") || g.Admit(t.Context(), "stranger") {
		t.Error("without the database the gate has forgotten what it knew")
	}
}

func TestNewGate_RefusesMissingParts(t *testing.T) {
	t.Parallel()
	h := open(t)
	if _, err := inbox.NewGate(h.pool, source, "", quiet); err == nil {
		t.Error("a gate without a secret admits everybody who sends none")
	}
	if _, err := inbox.NewGate(nil, source, "x", quiet); err == nil {
		t.Error("a gate without a database was made")
	}
}
