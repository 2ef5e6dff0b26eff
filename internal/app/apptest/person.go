package apptest

import (
	"slices"
	"strings"

	"kiosk/internal/simulator/telegramsim"
)

// Person is a user in the simulated Telegram.
type Person struct {
	w  *World
	ID int64
}

// Person makes a new user.
func (w *World) Person(name, language string) *Person {
	return &Person{w, w.Telegram.NewUser(name, language).ID}
}

// Say sends a text.
func (p *Person) Say(text string) {
	p.w.T.Helper()
	if _, err := p.w.Telegram.SendText(p.ID, text); err != nil {
		p.w.T.Fatalf("say %q: %v", text, err)
	}
}

// Wait waits for a message of the bot that fits, as the chat shows it.
func (p *Person) Wait(what string, fits func(telegramsim.Message) bool) telegramsim.Message {
	p.w.T.Helper()
	m, err := p.w.Telegram.WaitMessage(p.w.Context(), p.ID, func(m telegramsim.Message) bool {
		return m.From != nil && m.From.IsBot && fits(m)
	})
	if err != nil {
		p.w.T.Fatalf("%s did not come: %v\nthe chat shows:\n%s", what, err, p.Chat())
	}
	return m
}

// WaitText waits for a message whose text or caption contains all parts.
func (p *Person) WaitText(parts ...string) telegramsim.Message {
	p.w.T.Helper()
	return p.Wait("a message with "+strings.Join(parts, ", "), func(m telegramsim.Message) bool {
		for _, part := range parts {
			if !strings.Contains(plain(m.Text+m.Caption), part) {
				return false
			}
		}
		return true
	})
}

// plain makes the no-break spaces of amounts typable.
func plain(s string) string { return strings.ReplaceAll(s, "\u00a0", " ") }

// Press presses the newest button whose label contains text, waiting until there
// is one, and returns the id of the press.
func (p *Person) Press(text string) string {
	p.w.T.Helper()
	var data string
	var found telegramsim.Message
	p.Wait("a button "+text, func(telegramsim.Message) bool {
		all := p.w.Telegram.Messages(p.ID)
		for _, m := range slices.Backward(all) {
			if b, ok := Button(m, text); ok {
				found, data = m, b.CallbackData
				return true
			}
		}
		return false
	})
	id, err := p.w.Telegram.Press(p.ID, found.MessageID, data)
	if err != nil {
		p.w.T.Fatalf("press %q: %v", text, err)
	}
	return id
}

// PressAnswered presses and returns what the press was answered with.
func (p *Person) PressAnswered(text string) telegramsim.Answer {
	p.w.T.Helper()
	a, err := p.w.Telegram.WaitAnswer(p.w.Context(), p.ID, p.Press(text))
	if err != nil {
		p.w.T.Fatalf("the press on %q was not answered: %v", text, err)
	}
	return a
}

// Button finds a button by a part of its label.
func Button(m telegramsim.Message, text string) (telegramsim.Button, bool) {
	if m.ReplyMarkup == nil {
		return telegramsim.Button{}, false
	}
	for _, row := range m.ReplyMarkup.Rows {
		for _, b := range row {
			if strings.Contains(plain(b.Text), text) {
				return b, true
			}
		}
	}
	return telegramsim.Button{}, false
}

// Chat renders what the chat shows, for failure messages.
func (p *Person) Chat() string {
	var b strings.Builder
	for _, m := range p.w.Telegram.Messages(p.ID) {
		who := "me:  "
		if m.From != nil && m.From.IsBot {
			who = "bot: "
		}
		b.WriteString(who + strings.ReplaceAll(m.Text+m.Caption, "\n", " / ") + "\n")
	}
	return b.String()
}

// Files counts the bot's messages with a photo, video or audio.
func (p *Person) Files() int {
	n := 0
	for _, m := range p.w.Telegram.Messages(p.ID) {
		if len(m.Photo) > 0 || m.Video != nil || m.Audio != nil || m.Document != nil {
			n++
		}
	}
	return n
}

// Order brings a person from /start to the confirmed order of a model that
// wants a text.
func (p *Person) Order(category, model, prompt string) {
	p.w.T.Helper()
	p.Say("/start")
	p.Press(category)
	p.Press(model)
	p.WaitText("✍️")
	p.Say(prompt)
	p.Press("Generate")
}
