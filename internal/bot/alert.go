package bot

import (
	"context"
	_ "embed"
	"strconv"
	"time"

	"kiosk/internal/admin"
	"kiosk/internal/outbox"
	"kiosk/internal/pg"
)

//go:embed sql/user_speaks.sql
var sqlUserSpeaks string

// alert tells an operator about the program, in the operator's language; English
// to one who has never written.
func (s *Sender) alert(ctx context.Context, m outbox.Message) error {
	var n admin.Notice
	if err := decode(m, &n); err != nil {
		return err
	}
	language := "en"
	if err := s.pool.QueryRow(ctx, sqlUserSpeaks, m.ChatID).Scan(&language); err != nil && !pg.IsNoRows(err) {
		return unread(err)
	}
	return s.message(ctx, m.ChatID, screen{Text: alertText(textsOf(language), n)})
}

func alertText(t Texts, n admin.Notice) string {
	words := t.Alert(n.Alert)
	news := AlertNews{
		ID: esc(n.Alert), Title: esc(words.Title), Remedy: esc(words.Remedy), Below: n.Below,
		Value: esc(quantity(t, n.Value, n.Unit)), Limit: esc(quantity(t, n.Threshold, n.Unit)),
		Clock: time.Unix(n.At, 0).UTC().Format("15:04 UTC"),
	}
	if n.Seconds > 0 {
		news.Lasted = esc(quantity(t, n.Seconds, admin.Seconds))
	}
	if n.Over {
		return t.AlertIsOver(news)
	}
	return t.AlertFires(news)
}

// quantity writes a value the way people read it: 4.5 s, 12 min, 37 %.
func quantity(t Texts, v float64, u admin.Unit) string {
	number := func(v float64, decimals int) string {
		text := strconv.FormatFloat(v, 'f', decimals, 64)
		if whole := strconv.FormatFloat(v, 'f', 0, 64); text == whole+".0" {
			return whole
		}
		return text
	}
	switch {
	case u == admin.Percent:
		return number(100*v, 0) + "\u00a0%"
	case u != admin.Seconds:
		return number(v, 1)
	case v < 120:
		return number(v, 1) + "\u00a0" + t.UnitSeconds
	case v < 7200:
		return number(v/60, 0) + "\u00a0" + t.UnitMinutes
	}
	return number(v/3600, 1) + "\u00a0" + t.UnitHours
}
