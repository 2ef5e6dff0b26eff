package bot

import (
	"fmt"
	"html"
	"strconv"
	"strings"

	"kiosk/internal/catalog"
	"kiosk/internal/ledger"
)

// Texts are all words that people read, in one language. Texts with arguments
// are functions, so that the compiler checks their use. Bodies are Telegram
// HTML; arguments that people or models wrote are escaped by the caller's side
// of the function. Button labels are plain.
type Texts struct {
	Code string

	// Buttons.
	ButtonBalance, ButtonHistory, ButtonLanguage, ButtonHome, ButtonBack, ButtonCancel, ButtonAgain, ButtonEdit, ButtonCopy, ButtonSendResult string
	ButtonGenerate                                                                                                                            func(price string) string
	ButtonGenerateFree                                                                                                                        string
	ButtonModel                                                                                                                               func(title, price string) string
	ButtonOption                                                                                                                              func(label, value string) string
	ButtonOther                                                                                                                               func(label string) string

	Category  func(catalog.Category) string
	Free      string
	FromPrice func(price string) string

	// Screens.
	Welcome         func(name, credit string) string
	Home            func(balance string) string
	HomeWithText    func(text, balance string) string
	Models          func(category string) string
	NoModels        string
	Model           func(title, about, price, seconds, ask string) string
	Asking          func(title, ask string) string
	AskPrompt       func(limit string) string
	AskText         func(label, limit string) string
	AskPicture      string
	AskPictures     func(limit string) string
	AskFile         func(label string) string
	Price           func(price string) string
	PriceFree       func(left, full string) string
	Confirm         func(c Confirmation) string
	Choose          func(label string) string
	Balance         func(available, held, free string) string
	FreeLeft        func(n int) string
	History         string
	HistoryEmpty    string
	HistoryLine     func(when, model, state, price string) string
	StateName       func(state string) string
	ChooseLanguage  string
	LanguageChosen  string
	Help            string
	NothingToCancel string
	Cancelled       string
	UnknownCommand  string
	OnlyFiles       string
	ModelFirst      string
	NoFilesHere     string
	FileTooLarge    string

	// Progress and ends. An empty price means a free run.
	Accepted  func(title, price string) string
	Submitted func(title, eta string) string
	Running   func(title, eta string) string
	Done      func(title, price, balance string) string
	FailedFor func(title, reason string) string
	Reason    func(cause string) string
	Apology   func(title, reason, price string) string
	Caption   func(title, price, prompt string) string
	Link      func(title, url string) string
	Uncertain func(title string) string
	OnceMore  string // above a message that may have arrived already
	Seconds   func(n int) string

	// Short answers to presses; at most 200 characters.
	Outdated      string
	AlreadyHere   string
	PriceChanged  string
	Busy          func(limit int) string
	Insufficient  func(missing string) string
	Sending       string
	SomethingOff  string
	InputProblem  func(label string, e *catalog.InputError) string
	Commands      []Command
	Description   string
	ShortAbout    string
	NotForSaleNow string

	// To the operators.
	Alert       func(id string) Alert
	AlertFires  func(a AlertNews) string
	AlertIsOver func(a AlertNews) string

	UnitSeconds, UnitMinutes, UnitHours string
}

// Alert is what an operator reads about one condition. Remedies are plain text.
type Alert struct{ Title, Remedy string }

// AlertNews is one message about an alert; its texts are escaped.
type AlertNews struct {
	ID, Title, Remedy string
	Value, Limit      string
	Below             bool
	Lasted            string // "" when it begins
	Clock             string
}

// Command is one line of the bot's menu.
type Command struct{ Name, About string }

// Confirmation is what a person reads before an order.
type Confirmation struct {
	Title, Prompt string
	Options       []string // "Format: 1:1"
	Price         string
	After         string // the balance after it; "" when it does not suffice
	Balance       string
}

func textsOf(language string) Texts {
	if language == "ru" {
		return russian()
	}
	return english()
}

// languageOf maps Telegram's language code to one that the bot speaks.
func languageOf(code string) string {
	prefix, _, _ := strings.Cut(strings.ToLower(code), "-")
	switch prefix {
	case "ru", "uk", "be", "kk":
		return "ru"
	}
	return "en"
}

// money renders an amount the way people of the language write it.
func money(a ledger.Amount, unit, language string) string {
	n := int64(a)
	sign := ""
	if n < 0 {
		sign, n = "−", -n
	}
	point, space := ".", ","
	if language == "ru" {
		point, space = ",", "\u00a0"
	}
	text := sign + group(n/100, space)
	if n%100 != 0 {
		text += point + fmt.Sprintf("%02d", n%100)
	}
	switch unit {
	case "RUB":
		return text + "\u00a0₽"
	case "USD":
		return "$" + text
	case "EUR":
		return text + "\u00a0€"
	}
	return text + "\u00a0" + unit
}

func group(n int64, space string) string {
	s := strconv.FormatInt(n, 10)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + space + s[i:]
	}
	return s
}

// plural picks the Russian form for n: one, few, many (Unicode CLDR, whole numbers).
func plural(n int, one, few, many string) string {
	d, h := n%10, n%100
	switch {
	case d == 1 && h != 11:
		return one
	case d >= 2 && d <= 4 && (h < 12 || h > 14):
		return few
	}
	return many
}

func esc(s string) string { return html.EscapeString(s) }

// cut shortens a text to n characters, at the end of a word if one is near.
func cut(s string, n int) string {
	r := []rune(s)
	if len(r) <= n {
		return s
	}
	short := string(r[:n-1])
	if i := strings.LastIndexAny(short, " \n"); i > len(short)*3/4 {
		short = short[:i]
	}
	return short + "…"
}
