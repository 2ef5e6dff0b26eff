package bot

import (
	"fmt"
	"strconv"

	"kiosk/internal/catalog"
)

func (sc screens) models(v view, c catalog.Category) screen {
	var keys [][]key
	for _, m := range sc.catalog.List(c) {
		price, err := sc.fromPrice(v, m)
		if err != nil {
			continue // not for sale at today's prices
		}
		keys = append(keys, []key{{Text: v.t.ButtonModel(m.Title, price), Data: data("model", m.ID)}})
	}
	text := v.t.Models(v.t.Category(c))
	if len(keys) == 0 {
		text = v.t.NoModels
	}
	return screen{Text: text, Keys: append(keys, []key{{Text: v.t.ButtonBack, Data: data("home")}})}
}

// ask says what to send next for a field.
func (v view) ask(m *catalog.Model, in *catalog.Input) string {
	label := esc(in.Label.In(v.t.Code))
	switch {
	case in.Type == catalog.TypeImage && in.MaxItems == 1:
		return v.t.AskPicture
	case in.Type == catalog.TypeImage:
		return v.t.AskPictures(strconv.Itoa(in.MaxItems))
	case in.Type.IsFile():
		return v.t.AskFile(label)
	case m.ResultKind() == "audio", m.FileInput(catalog.TypeImage) != nil:
		return v.t.AskText(label, strconv.Itoa(in.MaxLength))
	}
	return v.t.AskPrompt(strconv.Itoa(in.MaxLength))
}

// fromPrice is the price at default options with a word before it when options change it.
func (sc screens) fromPrice(v view, m *catalog.Model) (string, error) {
	q, err := sc.prices.QuoteWith(m.ID, exampleValues(m), v.freeLeft)
	if err != nil {
		return "", err
	}
	if len(m.Price.Tiers) == 1 && m.Price.Quantity == "" || q.Free {
		return v.priceText(int64(q.Price)), nil
	}
	return v.t.FromPrice(v.priceText(int64(q.Price))), nil
}

// exampleValues are the values of the model's example: an order that can be
// priced before anything was typed or sent.
func exampleValues(m *catalog.Model) catalog.Values {
	values := catalog.Values{}
	for name, v := range m.Example {
		values[name] = fmt.Sprint(v)
	}
	return values
}

// chosen opens a model: straight to the card when the prompt was typed before.
func (sc screens) chosen(v view, s session, id string) (session, []effect) {
	m := sc.catalog.Find(id)
	if m == nil {
		return s, []effect{answer{text: v.t.Outdated}, show{screen: sc.home(v)}}
	}
	text := s.Text
	s = s.choose(m.ID)
	if text != "" {
		return sc.prompted(v, s, m, text, false)
	}
	return s, []effect{show{screen: sc.model(v, m)}}
}

func (sc screens) model(v view, m *catalog.Model) screen {
	back := [][]key{{{Text: v.t.ButtonBack, Data: data("cat", string(m.Category))}, {Text: v.t.ButtonHome, Data: data("home")}}}
	q, err := sc.prices.QuoteWith(m.ID, exampleValues(m), v.freeLeft)
	if err != nil {
		return screen{Text: v.t.NotForSaleNow, Keys: back}
	}
	price := v.t.Price(v.money(int64(q.Price)))
	switch {
	case q.Free:
		price = v.t.PriceFree(v.t.FreeLeft(v.freeLeft), v.money(int64(q.Full)))
	case len(m.Price.Tiers) > 1 || m.Price.Quantity != "":
		price = v.t.Price(v.t.FromPrice(v.money(int64(q.Price))))
	}
	return screen{
		Text: v.t.Model(esc(m.Title), esc(m.About.In(v.t.Code)), price, v.t.Seconds(m.Seconds), v.ask(m, m.NextMissing(nil))),
		Keys: back,
	}
}
