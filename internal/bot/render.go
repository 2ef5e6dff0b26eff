package bot

import (
	"kiosk/internal/catalog"
	"kiosk/internal/generation"
	"kiosk/internal/ledger"
)

// rendering is a generation with the words for it.
type rendering struct {
	g      generation.Generation
	t      Texts
	unit   string
	title  string
	kind   string // image, video, audio, file
	prompt string
	eta    string
}

func (s *Sender) rendering(g generation.Generation) rendering {
	r := rendering{g: g, t: textsOf(g.Language), unit: s.ledger.Unit(), title: esc(g.Model), kind: "file"}
	m := s.catalog.Find(g.Model)
	if m == nil { // taken out of the catalog since
		r.eta = r.t.Seconds(60)
		return r
	}
	r.title, r.kind, r.eta = esc(m.Title), m.ResultKind(), r.t.Seconds(m.Seconds)
	r.prompt = promptOf(m, g)
	return r
}

func promptOf(m *catalog.Model, g generation.Generation) string { return g.Params[m.Prompt().Name] }

func (r rendering) money(a ledger.Amount) string { return money(a, r.unit, r.t.Code) }

// charged is the price, "" for a free run.
func (r rendering) charged() string {
	if r.g.Price == 0 {
		return ""
	}
	return r.money(r.g.Price)
}

func (r rendering) progress(stage generation.Stage) (screen, bool) {
	switch stage {
	case generation.StageSubmitted:
		return screen{Text: r.t.Submitted(r.title, r.eta)}, true
	case generation.StageRunning:
		return screen{Text: r.t.Running(r.title, r.eta)}, true
	case generation.StageFailed:
		return screen{Text: r.t.FailedFor(r.title, r.t.Reason(r.g.Cause))}, true
	case generation.StageDone:
	}
	return screen{}, false
}

// done ends the progress. An album carries no buttons, so they stand here.
func (r rendering) done(balance ledger.Amount, files int) screen {
	sc := screen{Text: r.t.Done(r.title, r.charged(), r.money(balance))}
	if files > 1 {
		sc.Keys = r.resultKeys()
	}
	return sc
}

func (r rendering) apology() screen {
	return screen{
		Text: r.t.Apology(r.title, r.t.Reason(r.g.Cause), r.charged()),
		Keys: [][]key{{{Text: r.t.ButtonAgain, Data: data("again", r.g.ID.String())}, {Text: r.t.ButtonHome, Data: data("home")}}},
	}
}

// repeated is the apology once more. It says so, for both may have arrived.
func (r rendering) repeated() screen {
	sc := r.apology()
	sc.Text = r.t.OnceMore + "\n\n" + sc.Text
	return sc
}

func (r rendering) unsure() screen {
	return screen{
		Text: r.t.Uncertain(r.title),
		Keys: [][]key{{{Text: r.t.ButtonSendResult, Data: data("send", r.g.ID.String()), Style: "primary"}}},
	}
}

func (r rendering) caption() string {
	price := r.charged()
	if price == "" {
		price = r.t.Free
	}
	return r.t.Caption(r.title, price, esc(cut(r.prompt, promptInCaption)))
}

func (r rendering) resultKeys() [][]key {
	row := []key{{Text: r.t.ButtonAgain, Data: data("again", r.g.ID.String())}}
	if r.prompt != "" && len([]rune(r.prompt)) <= copyLimit {
		row = append(row, key{Text: r.t.ButtonCopy, Copy: r.prompt})
	}
	return [][]key{row, {{Text: r.t.ButtonHome, Data: data("home")}}}
}
