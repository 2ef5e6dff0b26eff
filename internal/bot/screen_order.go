package bot

import (
	"errors"
	"strconv"
	"strings"

	"kiosk/internal/catalog"
	"kiosk/internal/generation"
)

// Telegram's limits, with room for the rest of the message.
const (
	promptInCard    = 2500
	promptInCaption = 700
	copyLimit       = 256
)

// typed takes a text: the prompt of the chosen model, or something to be made
// with a model that is still to be chosen.
func (sc screens) typed(v view, s session, text string) (session, []effect) {
	m := sc.catalog.Find(s.Model)
	if m == nil {
		next := s.forget()
		next.Text = text
		screen := screen{
			Text: v.t.HomeWithText(esc(cut(text, promptInCard)), v.money(v.balance.available)),
			Keys: sc.homeKeys(v),
		}
		return next, []effect{show{screen: screen, fresh: true}}
	}
	return sc.prompted(v, s, m, text, true)
}

// prompted fills in the prompt and shows the card of a new draft.
func (sc screens) prompted(v view, s session, m *catalog.Model, text string, fresh bool) (session, []effect) {
	if err := m.CheckOne(m.Prompt().Name, text); err != nil {
		return s, []effect{show{screen: sc.problem(v, m, err), fresh: true}}
	}
	return sc.filled(v, s.with(m.Prompt().Name, strings.TrimSpace(text)), m, show{fresh: fresh})
}

// filled shows the card of a new draft, or asks for what is still missing.
func (sc screens) filled(v view, s session, m *catalog.Model, how show) (session, []effect) {
	if missing := m.NextMissing(s.Values); missing != nil {
		how.screen = screen{
			Text: v.t.Asking(esc(m.Title), v.ask(m, missing)),
			Keys: [][]key{{{Text: v.t.ButtonCancel, Data: data("cancel"), Style: "danger"}, {Text: v.t.ButtonHome, Data: data("home")}}},
		}
		return s, []effect{how}
	}
	s.Draft, s.Open = s.Draft+1, true
	next, effects := sc.card(v, s, m, how.fresh)
	for i, e := range effects {
		if shown, ok := e.(show); ok {
			shown.album = how.album
			effects[i] = shown
		}
	}
	return next, effects
}

// sent takes a file for the model that is being filled in. A caption is its prompt.
func (sc screens) sent(v view, s session, e event) (session, []effect) {
	say := func(text string) (session, []effect) {
		return s, []effect{show{screen: screen{Text: text, Keys: sc.homeKeys(v)}, fresh: true, album: e.group}}
	}
	m := sc.catalog.Find(s.Model)
	switch {
	case e.file.ref == "":
		return say(v.t.OnlyFiles)
	case m == nil:
		return say(v.t.ModelFirst)
	case m.FileInput(e.file.kind) == nil:
		return say(v.t.NoFilesHere)
	case e.file.size > maxFile:
		return say(v.t.FileTooLarge)
	}
	in := m.FileInput(e.file.kind)
	value := e.file.ref
	if have := s.Values[in.Name]; have != "" && in.MaxItems > 1 {
		value = have + "\n" + e.file.ref
	}
	if err := m.CheckOne(in.Name, value); err != nil {
		return s, []effect{show{screen: sc.problem(v, m, err), fresh: true, album: e.group}}
	}
	s = s.with(in.Name, value)
	if prompt := m.Prompt().Name; e.text != "" && m.CheckOne(prompt, e.text) == nil {
		s = s.with(prompt, strings.TrimSpace(e.text))
	}
	return sc.filled(v, s, m, show{fresh: true, album: e.group})
}

// maxFile is the largest file that the Bot API hands out, in bytes.
const maxFile = 20 << 20

func (sc screens) problem(v view, m *catalog.Model, err error) screen {
	keys := [][]key{{{Text: v.t.ButtonBack, Data: data("model", m.ID)}, {Text: v.t.ButtonHome, Data: data("home")}}}
	var input *catalog.InputError
	if !errors.As(err, &input) {
		return screen{Text: v.t.NotForSaleNow, Keys: keys}
	}
	label := input.Field
	if in := m.Input(input.Field); in != nil {
		label = in.Label.In(v.t.Code)
	}
	return screen{Text: esc(v.t.InputProblem(label, input)), Keys: keys}
}

// card shows the draft: prompt, options, price, what remains.
func (sc screens) card(v view, s session, m *catalog.Model, fresh bool) (session, []effect) {
	q, err := sc.prices.QuoteWith(m.ID, s.Values, v.freeLeft)
	if err != nil {
		return s, []effect{show{screen: sc.problem(v, m, err), fresh: fresh}}
	}
	s.Shown = int64(q.Price)
	prompt := q.Values[m.Prompt().Name]
	c := Confirmation{
		Title: esc(m.Title), Prompt: esc(cut(prompt, promptInCard)),
		Price: v.priceText(int64(q.Price)), Balance: v.money(v.balance.available),
	}
	if v.balance.available >= int64(q.Price) {
		c.After = v.money(v.balance.available - int64(q.Price))
	}
	var keys [][]key
	for i, in := range m.Inputs {
		if n := len(catalog.Files(q.Values[in.Name])); in.Type.IsFile() && n > 0 {
			label := in.Label.In(v.t.Code)
			c.Options = append(c.Options, esc(label+": "+strconv.Itoa(n)))
			keys = append(keys, []key{{Text: v.t.ButtonOther(label), Data: s.draftData("drop", strconv.Itoa(i))}})
			continue
		}
		if len(choices(in)) == 0 {
			continue
		}
		value := shown(v, in, q.Values[in.Name])
		c.Options = append(c.Options, esc(in.Label.In(v.t.Code)+": "+value))
		keys = append(keys, []key{{Text: v.t.ButtonOption(in.Label.In(v.t.Code), value), Data: s.draftData("opt", strconv.Itoa(i))}})
	}
	return s, []effect{show{screen: screen{Text: v.t.Confirm(c), Keys: append(sc.goKeys(v, s, q), keys...)}, fresh: fresh}}
}

func (sc screens) goKeys(v view, s session, q generation.Quote) [][]key {
	label := v.t.ButtonGenerateFree
	if q.Price > 0 {
		label = v.t.ButtonGenerate(v.money(int64(q.Price)))
	}
	return [][]key{{
		{Text: label, Data: s.draftData("go", ""), Style: "success"},
		{Text: v.t.ButtonCancel, Data: data("cancel"), Style: "danger"},
	}}
}

// draftData ties a button to the draft that its card shows.
func (s session) draftData(verb, arg string) string {
	d := data(verb, strconv.FormatInt(s.Draft, 10))
	if arg != "" {
		d += "," + arg
	}
	return d
}

// choices lists the values that a button can set.
func choices(in catalog.Input) []string {
	switch in.Type {
	case catalog.TypeChoice:
		return in.Options
	case catalog.TypeBool:
		return []string{"true", "false"}
	default:
	}
	return nil
}

// shown renders a value for people.
func shown(v view, in catalog.Input, value string) string {
	switch {
	case in.Type == catalog.TypeBool && value == "true":
		return "✓"
	case in.Type == catalog.TypeBool, value == "":
		return "—"
	}
	if unit := in.Unit.In(v.t.Code); unit != "" {
		return value + "\u00a0" + unit
	}
	return value
}

// draftPress handles the buttons of a card. A card that is not the newest open
// draft does nothing but show the newest.
func (sc screens) draftPress(v view, s session, verb, arg string) (session, []effect) {
	parts := strings.Split(arg, ",")
	m := sc.catalog.Find(s.Model)
	if parts[0] != strconv.FormatInt(s.Draft, 10) || !s.Open || m == nil {
		return sc.outdated(v, s, m, verb == "go" && parts[0] == strconv.FormatInt(s.Ordered, 10))
	}
	switch {
	case verb == "go":
		return s, []effect{order{}}
	case verb == "opt" && len(parts) == 2:
		return sc.options(v, s, m, parts[1])
	case verb == "drop" && len(parts) == 2:
		return sc.drop(v, s, m, parts[1])
	case verb == "set" && len(parts) == 3:
		return sc.set(v, s, m, parts[1], parts[2])
	}
	return sc.card(v, s, m, false)
}

func (sc screens) outdated(v view, s session, m *catalog.Model, doubleTap bool) (session, []effect) {
	if doubleTap {
		return s, []effect{answer{text: v.t.AlreadyHere}}
	}
	if m == nil || !s.Open {
		return s, []effect{answer{text: v.t.Outdated}, show{screen: sc.home(v), fresh: true}}
	}
	next, effects := sc.card(v, s, m, true)
	return next, append([]effect{answer{text: v.t.Outdated}}, effects...)
}

// options shows the values of one field; the present one is marked.
func (sc screens) options(v view, s session, m *catalog.Model, index string) (session, []effect) {
	i, err := strconv.Atoi(index)
	if err != nil || i < 0 || i >= len(m.Inputs) {
		return sc.card(v, s, m, false)
	}
	in := m.Inputs[i]
	now := s.Values[in.Name]
	if now == "" {
		now = in.Default
	}
	var row []key
	var rows [][]key
	for n, o := range choices(in) {
		k := key{Text: shown(v, in, o), Data: s.draftData("set", index+","+strconv.Itoa(n))}
		if o == now {
			k.Text, k.Style = "• "+k.Text, "primary"
		}
		if row = append(row, k); len(row) == 3 {
			rows, row = append(rows, row), nil
		}
	}
	if len(row) > 0 {
		rows = append(rows, row)
	}
	rows = append(rows, []key{{Text: v.t.ButtonBack, Data: s.draftData("card", "")}})
	return s, []effect{show{screen: screen{Text: "<b>" + esc(m.Title) + "</b>\n" + esc(v.t.Choose(in.Label.In(v.t.Code))), Keys: rows}}}
}

// drop forgets the files of one field and asks for others.
func (sc screens) drop(v view, s session, m *catalog.Model, index string) (session, []effect) {
	if i, err := strconv.Atoi(index); err == nil && i >= 0 && i < len(m.Inputs) && m.Inputs[i].Type.IsFile() {
		s = s.with(m.Inputs[i].Name, "")
	}
	return sc.filled(v, s, m, show{})
}

func (sc screens) set(v view, s session, m *catalog.Model, index, choice string) (session, []effect) {
	i, err1 := strconv.Atoi(index)
	n, err2 := strconv.Atoi(choice)
	if err1 == nil && err2 == nil && i >= 0 && i < len(m.Inputs) {
		if values := choices(m.Inputs[i]); n >= 0 && n < len(values) {
			s = s.with(m.Inputs[i].Name, values[n])
		}
	}
	return sc.card(v, s, m, false)
}

// placed is the card after its order was taken.
func (sc screens) placed(v view, s session, m *catalog.Model) (session, []effect) {
	price := ""
	if s.Shown > 0 {
		price = v.money(s.Shown)
	}
	s.Open, s.Ordered = false, s.Draft
	for _, in := range m.Inputs { // the next order starts with the same options and new content
		if in.Type.IsFile() || in.Type == catalog.TypeText {
			s = s.with(in.Name, "")
		}
	}
	return s, []effect{show{screen: screen{Text: v.t.Accepted(esc(m.Title), price)}}}
}

// again fills in a model with earlier values as a new draft.
func (sc screens) again(v view, s session, g generation.Generation) (session, []effect) {
	m := sc.catalog.Find(g.Model)
	if m == nil {
		return s, []effect{answer{text: v.t.NotForSaleNow, alert: true}}
	}
	s = s.choose(m.ID)
	for _, in := range m.Inputs { // fields that the model no longer has are left out
		if value := g.Params[in.Name]; value != "" && m.CheckOne(in.Name, value) == nil {
			s = s.with(in.Name, value)
		}
	}
	s.Draft, s.Open = s.Draft+1, true
	return sc.card(v, s, m, true)
}
