package acceptance_test

import (
	"fmt"
	"html"
	"regexp"
	"slices"
	"strings"
	"time"
)

// person is someone who writes to the bot through tg-mock, and whose chat is
// what the recorded calls have made of it.
type person struct {
	w        *world
	id       int64
	user     map[string]any
	lastSaid int64
	presses  []string // ids
}

// ada is a person with an id beyond 32 bits, as new people have.
func (w *world) ada() *person {
	const id = 7_000_000_001
	return &person{w: w, id: id, lastSaid: 1_000_000, user: map[string]any{
		"id": id, "is_bot": false, "first_name": "Ada", "language_code": "en",
	}}
}

func (p *person) chat() map[string]any {
	return map[string]any{"id": p.id, "type": "private", "first_name": "Ada"}
}

// say sends a text. Ids of a person's messages lie apart from tg-mock's, which
// count from one.
func (p *person) say(text string) {
	p.w.t.Helper()
	p.lastSaid++
	message := map[string]any{
		"message_id": p.lastSaid, "from": p.user, "chat": p.chat(), "date": time.Now().Unix(), "text": text,
	}
	if command, _, _ := strings.Cut(text, " "); strings.HasPrefix(command, "/") {
		message["entities"] = []any{map[string]any{"type": "bot_command", "offset": 0, "length": len(command)}}
	}
	p.w.peer.update(map[string]any{"message": message})
}

// press waits for the newest button whose label contains text and presses it, in
// the message that has it, by the id that tg-mock gave that message.
func (p *person) press(label string) {
	p.w.t.Helper()
	var in shown
	var b button
	p.wait("a button "+label, func(chat []shown) bool {
		for _, m := range slices.Backward(chat) {
			if found, ok := m.button(label); ok {
				in, b = m, found
				return true
			}
		}
		return false
	})
	id := fmt.Sprintf("press-%d", len(p.presses)+1)
	p.presses = append(p.presses, id)
	p.w.peer.update(map[string]any{"callback_query": map[string]any{
		"id": id, "from": p.user, "chat_instance": "1", "data": b.Data,
		"message": map[string]any{"message_id": in.ID, "chat": p.chat(), "date": in.date, "text": in.Text},
	}})
}

// order brings a person from /start to the confirmed order of a model.
func (p *person) order(category, model, prompt string) {
	p.w.t.Helper()
	p.say("/start")
	p.press(category)
	p.press(model)
	p.waitText("✍️") // asks for the words
	p.say(prompt)
	p.press("Generate")
}

// shown is a message of the bot as the chat shows it.
type shown struct {
	call

	ID   int64
	Text string // or caption
	date int64
}

func (m shown) button(label string) (button, bool) {
	for _, row := range m.Args.Markup.Rows {
		for _, b := range row {
			if strings.Contains(plain(b.Text), label) {
				return b, true
			}
		}
	}
	return button{}, false
}

// shows returns what calls have made of the person's chat.
func (p *person) shows(calls []call) []shown {
	var chat []shown
	for _, c := range calls {
		if !c.taken() || c.Args.ChatID != p.id {
			continue
		}
		m := shown{call: c, ID: c.Result.MessageID, Text: plain(c.Args.Text + c.Args.Caption), date: c.At.Unix()}
		switch c.Method {
		case "sendMessage", "sendPhoto", "sendVideo", "sendAudio":
			chat = append(chat, m)
		case "editMessageText":
			m.ID = c.Args.MessageID // tg-mock answers an edit with a message of a new id
			i := slices.IndexFunc(chat, func(old shown) bool { return old.ID == m.ID })
			if i < 0 {
				p.w.t.Errorf("the bot edits a message that it never sent:\n%s", transcript([]call{c}))
				continue
			}
			chat[i] = m
		}
	}
	return chat
}

func (p *person) wait(what string, fits func([]shown) bool) {
	p.w.t.Helper()
	p.w.calls.wait(p.w.t, what, func(calls []call) bool { return fits(p.shows(calls)) })
}

// waitText waits for a message whose text or caption contains all parts.
func (p *person) waitText(parts ...string) shown {
	p.w.t.Helper()
	var found shown
	p.wait("a message with "+strings.Join(parts, ", "), func(chat []shown) bool {
		i := slices.IndexFunc(chat, func(m shown) bool {
			return !slices.ContainsFunc(parts, func(part string) bool { return !strings.Contains(m.Text, part) })
		})
		if i >= 0 {
			found = chat[i]
		}
		return i >= 0
	})
	return found
}

// checkAnswers asserts that every press was answered, and once.
func (p *person) checkAnswers() {
	p.w.t.Helper()
	times := map[string]int{}
	for _, c := range p.w.calls.of("answerCallbackQuery") {
		if c.taken() {
			times[c.Args.QueryID]++
		}
	}
	for _, id := range p.presses {
		if times[id] != 1 {
			p.w.t.Errorf("%s was answered %d times", id, times[id])
		}
	}
}

// methods returns by which methods the chat was changed; equal ones in a row
// count as one.
func (p *person) methods() []string {
	calls, _ := p.w.calls.all()
	var list []string
	for _, c := range calls {
		if c.Args.ChatID == p.id && c.Method != "sendChatAction" {
			list = append(list, c.Method)
		}
	}
	return slices.Compact(list)
}

var tags = regexp.MustCompile(`<[^>]*>`)

// plain returns HTML as people read it, with the no-break spaces of amounts typable.
func plain(s string) string {
	return strings.ReplaceAll(html.UnescapeString(tags.ReplaceAllString(s, "")), "\u00a0", " ")
}
