package acceptance_test

import (
	"bytes"
	"net/http"
	"testing"
	"time"
)

// Telegram asks to wait: the message goes out later, in its place, and once.
func TestTooManyRequests_IsSentLaterAndOnce(t *testing.T) {
	t.Parallel()
	for _, method := range []string{"sendMessage", "sendPhoto"} {
		t.Run(method, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.script(fault{method, 2, refusal{http.StatusTooManyRequests, "Too Many Requests: retry after 1", 1}})
			w.start()
			p := w.ada()
			p.order("Pictures", "Z-Image", "a fox")
			p.waitText("Ready. Charged: 0.64 ₽")
			w.waitQuiet()
			p.checkAnswers()
			checkRepeated(t, w.calls.of(method))
			checkDelivered(t, w)
		})
	}
}

// checkRepeated asserts that the first call was refused twice and then taken,
// each time after the second that was asked for, and none was taken twice.
func checkRepeated(t *testing.T, calls []call) {
	t.Helper()
	if len(calls) < 3 || calls[0].taken() || calls[1].taken() || !calls[2].taken() {
		t.Fatalf("want two refused calls and then one that is taken:\n%s", transcript(calls))
	}
	for i := range 2 {
		if wait := calls[i+1].At.Sub(calls[i].At); wait < time.Second {
			t.Errorf("repeated after %s", wait)
		}
		if !bytes.Equal(calls[i].Body, calls[i+1].Body) {
			t.Errorf("repeated with a change:\n%s", transcript(calls[i:i+2]))
		}
	}
	for _, c := range calls[3:] {
		if bytes.Equal(c.Body, calls[2].Body) {
			t.Errorf("sent again after it was taken:\n%s", transcript([]call{c}))
		}
	}
}

// A person who has blocked the bot: the result is given up at once and is not
// lost. What the person writes later is answered, and the result stays unsent.
func TestBlocked_IsFinal(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.script(fault{"sendPhoto", 0, refusal{Code: http.StatusForbidden, Description: "Forbidden: bot was blocked by the user"}})
	w.start()
	p := w.ada()
	p.order("Pictures", "Z-Image", "a fox")
	w.waitZero("blocked not noted", `SELECT 1 - count(*) FROM bot_users WHERE blocked_at IS NOT NULL`)
	w.waitQuiet()
	if n := one[int](w, `SELECT count(*) FROM generations WHERE state = 'succeeded'`); n != 1 {
		t.Errorf("%d generations are succeeded", n)
	}
	p.say("/history")
	p.waitText("Z-Image", "done")
	w.waitQuiet()
	p.checkAnswers()
	if photos := w.calls.of("sendPhoto"); len(photos) != 1 {
		t.Errorf("want one attempt:\n%s", transcript(photos))
	}
	if n := one[int](w, `SELECT count(*) FROM bot_users WHERE blocked_at IS NOT NULL`); n != 0 {
		t.Error("who writes to the bot is still noted as blocking it")
	}
}

// Refusals that mean that there is nothing to do, or to do it in another way.
func TestRefusal_IsNoTrouble(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		fault    fault
		messages int // that are sent: menu and card
	}{
		"edit changes nothing": {fault{"editMessageText", 1, refusal{Code: http.StatusBadRequest,
			Description: "Bad Request: message is not modified: specified new message content and reply markup are exactly the same as a current content and reply markup of the message"}}, 2},
		"edited message is gone": {fault{"editMessageText", 1, refusal{Code: http.StatusBadRequest,
			Description: "Bad Request: message to edit not found"}}, 3},
		"press is too old": {fault{"answerCallbackQuery", 1, refusal{Code: http.StatusBadRequest,
			Description: "Bad Request: query is too old and response timeout expired or query ID is invalid"}}, 2},
		"chat action is not known": {fault{"sendChatAction", 0, refusal{Code: http.StatusNotFound,
			Description: "Not Found: method not found"}}, 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.start()
			p := w.ada()
			p.say("/start")
			p.press("Pictures")
			p.press("Z-Image")
			p.waitText("Describe")
			p.say("a fox")
			p.waitText("a fox")
			w.waitQuiet()
			w.script(c.fault) // from here on, so that it strikes one of the order's calls
			p.press("Generate")
			p.waitText("Ready. Charged: 0.64 ₽")
			w.waitQuiet()
			checkDelivered(t, w)
			if n := len(w.calls.of("sendMessage")); n != c.messages {
				t.Errorf("%d messages were sent, want %d", n, c.messages)
			}
		})
	}
}

// A server that does not know a method of the bot's introduction takes nothing
// from the people who use the bot. When it learns it, the introduction is made.
func TestIntroduction_RefusalStopsNothing(t *testing.T) {
	t.Parallel()
	for name, times := range map[string]int{"once": 1, "for ever": 0} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.script(fault{"setMyDescription", times, refusal{Code: http.StatusNotFound, Description: "Not Found: method not found"}})
			w.start()
			p := w.ada()
			p.order("Pictures", "Z-Image", "a fox")
			p.waitText("Ready. Charged: 0.64 ₽")
			w.waitQuiet()
			p.checkAnswers()
			checkDelivered(t, w)
			if times > 0 {
				w.calls.wait(t, "the introduction in both languages", func(calls []call) bool {
					// One round is refused in part, and the whole is repeated.
					return len(only(calls, "setMyDescription")) == 4 && len(only(calls, "setMyShortDescription")) == 4
				})
			}
		})
	}
}

// Somebody else who polls with the same token interrupts the bot: it goes on, and
// no update is lost or handled twice.
func TestPolling_GoesOnAfterAConflict(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.script(fault{"getUpdates", 1, refusal{Code: http.StatusConflict, Description: "Conflict: terminated by other getUpdates request; make sure that only one bot instance is running"}})
	w.start()
	p := w.ada()
	p.order("Pictures", "Z-Image", "a fox")
	p.waitText("Ready. Charged: 0.64 ₽")
	w.waitQuiet()
	p.checkAnswers()
	checkDelivered(t, w)
}

// checkDelivered asserts that one photo was taken.
func checkDelivered(t *testing.T, w *world) {
	t.Helper()
	n := 0
	photos := w.calls.of("sendPhoto")
	for _, c := range photos {
		if c.taken() {
			n++
		}
	}
	if n != 1 {
		t.Errorf("%d photos were delivered:\n%s", n, transcript(photos))
	}
}
