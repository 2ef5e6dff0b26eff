package telegramsim

import (
	"encoding/json"
	"strings"
	"unicode/utf8"
)

const (
	maxCallbackData = 64 // bytes
	maxCopyText     = 256
	maxButtons      = 100
)

// parseMarkup reads reply_markup. Only inline keyboards are part of a message; the other kinds change the keyboard of
// a real client, which the simulator does not have.
func parseMarkup(p *params) (*InlineKeyboard, error) {
	if !p.has("reply_markup") {
		return nil, nil
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal([]byte(p.str("reply_markup")), &fields); err != nil {
		return nil, badRequest("can't parse reply keyboard markup JSON object")
	}
	raw, ok := fields["inline_keyboard"]
	if !ok {
		return nil, nil
	}
	var rows [][]Button
	if err := json.Unmarshal(raw, &rows); err != nil {
		return nil, badRequest("can't parse inline keyboard button: %v", err)
	}
	return checkKeyboard(rows)
}

// checkKeyboard refuses what Telegram does, and turns an empty keyboard into none.
func checkKeyboard(rows [][]Button) (*InlineKeyboard, error) {
	kept, count := [][]Button{}, 0
	for _, row := range rows {
		for _, b := range row {
			if err := checkButton(b); err != nil {
				return nil, err
			}
		}
		if len(row) > 0 {
			kept = append(kept, row)
		}
		count += len(row)
	}
	if count > maxButtons {
		return nil, badRequest("reply markup is too long")
	}
	if count == 0 {
		return nil, nil
	}
	return &InlineKeyboard{Rows: kept}, nil
}

func checkButton(b Button) error {
	if strings.TrimSpace(b.Text) == "" {
		return badRequest(`can't parse inline keyboard button: Field "text" must be of a non-empty String type`)
	}
	switch b.Style {
	case "", "primary", "success", "danger":
	default:
		return badRequest("can't parse inline keyboard button: invalid button style specified")
	}
	switch {
	case b.Disabled != nil, b.Pay, b.WebApp != nil, b.SwitchInline != nil, b.SwitchInlineHere != nil:
		return nil
	case b.URL != "":
		if _, ok := cleanURL(b.URL); !ok {
			return badRequest("inline keyboard button URL '%s' is invalid: Wrong HTTP URL", b.URL)
		}
		return nil
	case b.CopyText != nil:
		if n := utf8.RuneCountInString(b.CopyText.Text); n < 1 || n > maxCopyText {
			return badRequest("BUTTON_COPY_TEXT_INVALID")
		}
		return nil
	case len(b.CallbackData) > maxCallbackData:
		return badRequest("BUTTON_DATA_INVALID")
	case b.CallbackData == "":
		return badRequest("can't parse inline keyboard button: Text buttons are unallowed in the inline keyboard")
	}
	return nil
}

// buttonWith returns the button of a message that carries data, or nil.
func (m *Message) buttonWith(data string) *Button {
	if m.ReplyMarkup == nil || data == "" {
		return nil
	}
	for _, row := range m.ReplyMarkup.Rows {
		for i := range row {
			if row[i].CallbackData == data {
				return &row[i]
			}
		}
	}
	return nil
}
