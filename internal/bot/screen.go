package bot

import (
	"strings"

	"kiosk/internal/catalog"
	"kiosk/internal/generation"
	"kiosk/internal/ledger"
)

// screens turns what a person did into the next session and its effects. It is
// pure: catalog and prices do not change, and everything else is in the view.
type screens struct {
	catalog *catalog.Catalog
	prices  pricing
}

// pricing is the pure part of the generation service.
type pricing interface {
	QuoteWith(model string, values catalog.Values, freeLeft int) (generation.Quote, error)
}

// version begins the data of every button. A button of another version is
// answered with the present screen.
const version = "1"

func data(parts ...string) string { return version + ":" + strings.Join(parts, ":") }

// handle is the whole chat: (session, event) -> (session, effects).
func (sc screens) handle(v view, s session, e event) (session, []effect) {
	switch e.kind {
	case pressed:
		return sc.press(v, s, e.text)
	case command:
		return sc.command(v, s, e.text)
	case typed:
		return sc.typed(v, s, e.text)
	case media:
	}
	return sc.sent(v, s, e)
}

func (sc screens) command(v view, s session, name string) (session, []effect) {
	switch name {
	case "start":
		return s.forget(), []effect{show{screen: sc.home(v), fresh: true}}
	case "balance":
		return s, []effect{show{screen: sc.balance(v), fresh: true}}
	case "history":
		return s, []effect{list{}}
	case "language":
		return s, []effect{show{screen: languages(v), fresh: true}}
	case "help":
		return s, []effect{show{screen: screen{Text: v.t.Help, Keys: sc.homeKeys(v)}, fresh: true}}
	case "cancel":
		text := v.t.NothingToCancel
		if s.Model != "" || s.Text != "" {
			text = v.t.Cancelled
		}
		return s.forget(), []effect{show{screen: screen{Text: text, Keys: sc.homeKeys(v)}, fresh: true}}
	}
	return s, []effect{show{screen: screen{Text: v.t.UnknownCommand + "\n\n" + v.t.Help, Keys: sc.homeKeys(v)}, fresh: true}}
}

// press reads a button's data: version, verb, argument. Data comes from the
// client and may be anything.
func (sc screens) press(v view, s session, raw string) (session, []effect) {
	parts := strings.SplitN(raw, ":", 3)
	if len(parts) < 2 || parts[0] != version {
		return s, []effect{answer{text: v.t.Outdated}, show{screen: sc.home(v)}}
	}
	arg := ""
	if len(parts) == 3 {
		arg = parts[2]
	}
	switch parts[1] {
	case "home":
		return s.forget(), []effect{show{screen: sc.home(v)}}
	case "cat":
		return s, []effect{show{screen: sc.models(v, catalog.Category(arg))}}
	case "model":
		return sc.chosen(v, s, arg)
	case "opt", "set", "card", "go", "drop":
		return sc.draftPress(v, s, parts[1], arg)
	case "cancel":
		return s.forget(), []effect{answer{text: v.t.Cancelled}, show{screen: sc.home(v)}}
	case "bal":
		return s, []effect{show{screen: sc.balance(v)}}
	case "hist":
		return s, []effect{list{}}
	case "lang":
		return s, []effect{speak{language: languageOf(arg)}}
	case "again":
		return s, []effect{repeat{id: arg}}
	case "send":
		return s, []effect{answer{text: v.t.Sending}, deliver{id: arg}}
	}
	return s, []effect{answer{text: v.t.Outdated}, show{screen: sc.home(v)}}
}

func (v view) money(a int64) string { return money(ledger.Amount(a), v.unit, v.t.Code) }

// priceText is a price on buttons and in captions.
func (v view) priceText(price int64) string {
	if price == 0 {
		return v.t.Free
	}
	return v.money(price)
}
