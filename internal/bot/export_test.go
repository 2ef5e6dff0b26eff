package bot

import (
	"kiosk/internal/admin"
	"kiosk/internal/catalog"
	"kiosk/internal/ledger"
)

// What tests look at from outside.
var (
	English = english
	Russian = russian
	Money   = money
	Plural  = plural
	Cut     = cut
)

// Chat runs the pure screens of one person, without a database.
type Chat struct {
	sc screens
	v  view
	s  session
}

// NewChat starts a chat with a balance.
func NewChat(c *catalog.Catalog, prices pricing, language string, available ledger.Amount, freeLeft int) *Chat {
	return &Chat{
		sc: screens{catalog: c, prices: prices},
		v:  view{t: textsOf(language), name: "Ada", unit: "RUB", balance: balance{available: int64(available)}, freeLeft: freeLeft},
	}
}

// Shown is what one event put on the screen.
type Shown struct {
	Text   string
	Labels []string
	Data   []string
	Order  bool
	Answer string
}

// Type sends a text, or a command with its slash.
func (c *Chat) Type(text string) Shown {
	e := event{kind: typed, text: text}
	if len(text) > 1 && text[0] == '/' {
		e = event{kind: command, text: text[1:]}
	}
	return c.handle(e)
}

// Press presses a button by its data.
func (c *Chat) Press(data string) Shown {
	return c.handle(event{kind: pressed, text: data, messageID: 1, pressID: "x"})
}

func (c *Chat) handle(e event) Shown {
	var effects []effect
	c.s, effects = c.sc.handle(c.v, c.s, e)
	var out Shown
	for _, e := range effects {
		switch e := e.(type) {
		case show:
			out.Text = e.screen.Text
			for _, row := range e.screen.Keys {
				for _, k := range row {
					out.Labels, out.Data = append(out.Labels, k.Text), append(out.Data, k.Data)
				}
			}
		case answer:
			out.Answer = e.text
		case order:
			out.Order = true
		}
	}
	return out
}

// AlertText renders a notice.
func AlertText(t Texts, n admin.Notice) string { return alertText(t, n) }
