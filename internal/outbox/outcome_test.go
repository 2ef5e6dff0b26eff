package outbox_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"kiosk/internal/outbox"
	"kiosk/internal/telegram"
)

// What the Bot API client may return.
var (
	errBlocked = &telegram.Error{Method: "sendMessage", Outcome: telegram.Refused, Code: http.StatusForbidden, Description: "bot was blocked by the user"}
	errAway    = &telegram.Error{Method: "sendMessage", Outcome: telegram.NotSent, Description: "connection refused"}
	errLost    = &telegram.Error{Method: "sendMessage", Outcome: telegram.Unknown, Description: "the answer was lost"}
	errTooMany = &telegram.Error{Method: "sendMessage", Outcome: telegram.Refused, Code: http.StatusTooManyRequests, Description: "Too Many Requests", RetryAfter: time.Hour}
	errStrange = errors.New("nobody knows")
	errNoText  = &telegram.Error{Method: "sendMessage", Outcome: telegram.Refused, Code: http.StatusBadRequest, Description: "a\x00b\xff"}
)

func times(n int, err error) []error { return slices.Repeat([]error{err}, n) }

// outcome is what becomes of a message after Telegram's answers.
type outcome struct {
	rule    string
	kind    string
	answers []error // one for each attempt; then it works
	sends   int
	end     outbox.State
	text    string // of the error kept
}

func outcomes() []outcome {
	unsendable := fmt.Errorf("%w: no such screen", outbox.ErrUnsendable)
	return []outcome{
		{"done is sent", notice, nil, 1, outbox.Sent, ""},
		{"refused ends", notice, times(1, errBlocked), 1, outbox.Refused, errBlocked.Error()},
		{"refused ends an edit, too", edit, times(1, fmt.Errorf("edit: %w", errBlocked)), 1, outbox.Refused, "edit: " + errBlocked.Error()},
		{"unsendable ends", notice, times(1, unsendable), 1, outbox.Refused, unsendable.Error()},
		{"unsendable ends an edit, too", edit, times(1, unsendable), 1, outbox.Refused, unsendable.Error()},
		{"not sent is repeated", notice, times(3, errAway), 4, outbox.Sent, ""},
		{"not sent is repeated for as long as it takes", notice, times(20, errAway), 21, outbox.Sent, ""},
		{"too many is repeated", notice, times(2, errTooMany), 3, outbox.Sent, ""},
		{"too many and wrapped is repeated", edit, times(1, fmt.Errorf("send: %w", errTooMany)), 2, outbox.Sent, ""},
		{"lost ends, and is sent once", notice, times(1, errLost), 1, outbox.Unknown, errLost.Error()},
		{"lost after a repetition ends", notice, []error{errAway, errTooMany, errLost}, 3, outbox.Unknown, errLost.Error()},
		{"strange is as good as lost", notice, times(1, errStrange), 1, outbox.Unknown, errStrange.Error()},
		{"lost edit is repeated", edit, times(2, errLost), 3, outbox.Sent, ""},
		{"lost edit is repeated 7 times", edit, times(8, errLost), 8, outbox.Unknown, errLost.Error()},
		{"text that is no text is kept readable", notice, times(1, errNoText), 1, outbox.Refused, "telegram sendMessage: 400 a?b?"},
		{"text that is no text is no obstacle", edit, []error{fmt.Errorf("\xff%w", errAway)}, 2, outbox.Sent, ""},
	}
}

func TestWorker_OutcomeDecidesWhatBecomesOfAMessage(t *testing.T) {
	t.Parallel()
	s := newSender()
	h, w := start(t, s)
	all := outcomes()
	for i, o := range all {
		s.answers[o.rule] = o.answers
		h.add(draft(o.kind, int64(i), o.rule))
	}
	h.skipPauses(w)
	seen := map[string][]event{}
	for range all { // each settles once
		for _, e := range s.until(t, func(e event) bool { return e.call == "settle" }, "the end of a message") {
			seen[e.message.Key] = append(seen[e.message.Key], e)
		}
	}
	eventually(t, "the end of every message", func() bool {
		return h.count(`SELECT count(*) FROM outbox_messages WHERE finished_at IS NULL`) == 0
	})
	for _, o := range all {
		r := h.row(o.rule)
		t.Run(o.rule, func(t *testing.T) { o.check(t, seen[o.rule], r) })
	}
	if len(s.events) > 0 {
		t.Errorf("something happened after the end: %s", <-s.events)
	}
}

// check compares what happened to the message with the rule.
func (o outcome) check(t *testing.T, events []event, r row) {
	t.Helper()
	want := append(slices.Repeat([]string{"send " + o.rule}, o.sends), "settle "+o.rule+" "+string(o.end))
	if got := fmt.Sprintf("%q", events); got != fmt.Sprintf("%q", want) {
		t.Fatalf("events are %s, want %q", got, want)
	}
	for i, e := range events[:o.sends] {
		if e.message.Attempts != i+1 {
			t.Errorf("send %d says that it is attempt %d", i+1, e.message.Attempts)
		}
	}
	if r.State != string(o.end) || r.Attempts != o.sends || r.Error != o.text {
		t.Errorf("the row keeps %+v, want %s after %d attempts with the error %q", r, o.end, o.sends, o.text)
	}
	var cause error
	if o.end != outbox.Sent {
		cause = o.answers[len(o.answers)-1]
	}
	if got := events[o.sends].cause; !errors.Is(got, cause) {
		t.Errorf("settled with the cause %v, want %v", got, cause)
	}
}

func TestWorker_TooManyMakesItsChatWaitAndNoOther(t *testing.T) {
	t.Parallel()
	s := newSender()
	s.answers["first"] = times(1, errTooMany)
	h, w := start(t, s)
	h.add(draft(notice, 1, "first"), draft(notice, 1, "second"))
	w.Wake()
	s.want(t, "send first")
	h.awaitState("first", "pending")
	waits := h.count(`SELECT count(*) FROM outbox_messages WHERE key = 'first' AND due_at > clock_timestamp() + interval '59 minutes'`)
	if waits != 1 {
		t.Error("the message does not wait for as long as Telegram asked")
	}
	for i := range 3 { // other chats, and scans in which nothing of this chat goes out
		key := fmt.Sprint("other ", i)
		h.add(draft(notice, 2, key))
		w.Wake()
		s.want(t, "send "+key, "settle "+key+" sent")
	}
	h.exec(`UPDATE outbox_messages SET due_at = due_at - interval '1 hour'`)
	w.Wake()
	s.want(t, "send first", "settle first sent", "send second", "settle second sent")
}

// The pause ends by itself, and until then nobody works on the chat.
func TestWorker_SendsAfterThePauseThatTelegramAskedFor(t *testing.T) {
	t.Parallel()
	s := newSender()
	short := *errTooMany
	short.RetryAfter = 500 * time.Millisecond
	s.answers["a"] = times(1, &short)
	h := open(t)
	h.add(draft(notice, 1, "a"), draft(notice, 1, "b"))
	pool, sent := h.countingPool()
	h.workOn(pool, h.elect("one", h.url), s)
	s.want(t, "send a", "send a", "settle a sent", "send b", "settle b sent")
	if n := sent.Load(); n > 60 { // about 10 for an attempt and 5 for a poll
		t.Errorf("three attempts took %d statements", n)
	}
}

func TestWorker_PanicOfSendIsALostAnswer(t *testing.T) {
	t.Parallel()
	s := newSender()
	s.send = func(_ context.Context, m outbox.Message) error {
		if strings.HasPrefix(m.Key, "bad") && m.Attempts == 1 {
			panic("out of luck")
		}
		return nil
	}
	h, w := start(t, s)
	h.add(draft(notice, 1, "bad notice"), draft(edit, 1, "bad edit"), draft(notice, 1, "good"))
	h.skipPauses(w)
	w.Wake()
	s.want(t, "send bad notice", "settle bad notice unknown", "send bad edit", "send bad edit", "settle bad edit sent",
		"send good", "settle good sent")
	if r := h.row("bad notice"); !strings.Contains(r.Error, "out of luck") {
		t.Errorf("the error kept is %q", r.Error)
	}
}
