package bot

import "kiosk/internal/catalog"

func (sc screens) home(v view) screen {
	text := v.t.Home(v.money(v.balance.available))
	if v.isNew {
		credit := ""
		if v.credit > 0 {
			credit = v.money(v.credit)
		}
		text = v.t.Welcome(esc(v.name), credit)
	}
	return screen{Text: text, Keys: sc.homeKeys(v)}
}

func (sc screens) homeKeys(v view) [][]key {
	keys := sc.categoryKeys(v)
	return append(keys,
		[]key{{Text: v.t.ButtonBalance, Data: data("bal")}, {Text: v.t.ButtonHistory, Data: data("hist")}},
		[]key{{Text: v.t.ButtonLanguage, Data: data("lang", other(v.t.Code))}})
}

// categoryKeys lists the categories that have models, two in a row.
func (sc screens) categoryKeys(v view) [][]key {
	var rows [][]key
	for _, c := range catalog.Categories() {
		if len(sc.catalog.List(c)) == 0 {
			continue
		}
		k := key{Text: v.t.Category(c), Data: data("cat", string(c))}
		if n := len(rows); n > 0 && len(rows[n-1]) < 2 {
			rows[n-1] = append(rows[n-1], k)
			continue
		}
		rows = append(rows, []key{k})
	}
	return rows
}

func other(language string) string {
	if language == "ru" {
		return "en"
	}
	return "ru"
}

func languages(v view) screen {
	return screen{Text: v.t.ChooseLanguage, Keys: [][]key{{
		{Text: "English", Data: data("lang", "en")}, {Text: "Русский", Data: data("lang", "ru")},
	}}}
}

func (sc screens) balance(v view) screen {
	held, free := "", ""
	if v.balance.held > 0 {
		held = v.money(v.balance.held)
	}
	if v.freeLeft > 0 {
		free = v.t.FreeLeft(v.freeLeft)
	}
	return screen{
		Text: v.t.Balance(v.money(v.balance.available), held, free),
		Keys: [][]key{{{Text: v.t.ButtonHome, Data: data("home")}, {Text: v.t.ButtonHistory, Data: data("hist")}}},
	}
}
