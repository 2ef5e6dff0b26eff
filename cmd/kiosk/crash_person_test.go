package main

import (
	"slices"
	"strings"

	"kiosk/internal/app/apptest"
	"kiosk/internal/simulator/telegramsim"
)

// patience is how many steps a person takes before giving up. Six lead to the
// result, and a crash costs at most two more.
const patience = 12

// play makes the person walk the route: look at the chat once nothing moves in
// it, do the next sensible thing, and do it again if nothing came of it.
func (st *stage) play() {
	st.t.Helper()
	for range patience {
		st.settle()
		if !st.step() {
			return
		}
	}
	st.t.Fatalf("the person gives up; the chat shows:\n%s", st.person.Chat())
}

// step does what the newest message calls for, and reports that there was
// something to do.
func (st *stage) step() bool {
	if st.person.Files() > 0 || st.shows("❌") {
		return false
	}
	for _, m := range slices.Backward(st.Telegram.Messages(st.person.ID)) {
		for _, label := range append([]string{"Send it to me", "Generate"}, st.route.buttons...) {
			if b, ok := apptest.Button(m, label); ok {
				st.press(m, b)
				st.pressed = st.pressed || label == "Send it to me"
				return true
			}
		}
		if strings.Contains(m.Text, "Describe what you want") {
			st.person.Say(st.route.prompt)
			return true
		}
	}
	st.person.Say("/start")
	return true
}

func (st *stage) press(m telegramsim.Message, b telegramsim.Button) {
	st.t.Helper()
	if _, err := st.Telegram.Press(st.person.ID, m.MessageID, b.CallbackData); err != nil {
		st.t.Fatalf("press %q: %v", b.Text, err)
	}
}

// shows reports that a message of the chat contains text.
func (st *stage) shows(text string) bool {
	for _, m := range st.Telegram.Messages(st.person.ID) {
		if strings.Contains(m.Text+m.Caption, text) {
			return true
		}
	}
	return false
}
