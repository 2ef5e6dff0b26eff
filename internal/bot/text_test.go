package bot_test

import (
	"reflect"
	"strings"
	"testing"
	"unicode/utf16"

	"golang.org/x/text/feature/plural"
	"golang.org/x/text/language"

	"kiosk/internal/bot"
	"kiosk/internal/catalog"
	"kiosk/internal/ledger"
)

// call fills every argument of a text with plausible words and returns its result.
func call(t *testing.T, fn reflect.Value) string {
	t.Helper()
	var args []reflect.Value
	for in := range fn.Type().Ins() {
		switch in := in; in {
		case reflect.TypeFor[string]():
			args = append(args, reflect.ValueOf("«x»"))
		case reflect.TypeFor[int]():
			args = append(args, reflect.ValueOf(3))
		case reflect.TypeFor[catalog.Category]():
			args = append(args, reflect.ValueOf(catalog.Video))
		case reflect.TypeFor[bot.Confirmation]():
			args = append(args, reflect.ValueOf(bot.Confirmation{Title: "T", Prompt: "P", Options: []string{"O: 1"}, Price: "1", Balance: "2"}))
		case reflect.TypeFor[*catalog.InputError]():
			args = append(args, reflect.ValueOf(&catalog.InputError{Field: "f", Problem: catalog.TooLong, Limit: 1, Have: 2}))
		case reflect.TypeFor[bot.AlertNews]():
			args = append(args, reflect.ValueOf(bot.AlertNews{ID: "I", Title: "T", Remedy: "R", Value: "1", Limit: "2", Lasted: "3", Clock: "4"}))
		default:
			t.Fatalf("no sample for %s", in)
		}
	}
	result := fn.Call(args)[0]
	if a, ok := reflect.TypeAssert[bot.Alert](result); ok {
		return a.Title + a.Remedy
	}
	return result.String()
}

func eachText(t *testing.T, texts bot.Texts, see func(name, text string)) {
	t.Helper()
	v := reflect.ValueOf(texts)
	for i := range v.NumField() {
		name, f := v.Type().Field(i).Name, v.Field(i)
		switch f.Kind() {
		case reflect.String:
			see(name, f.String())
		case reflect.Func:
			if f.IsNil() {
				see(name, "")
				continue
			}
			see(name, call(t, f))
		default:
			if f.Len() == 0 {
				see(name, "")
			}
		}
	}
}

func TestTexts_NoneIsMissingAndAllFitTelegram(t *testing.T) {
	t.Parallel()
	for _, texts := range []bot.Texts{bot.English(), bot.Russian()} {
		eachText(t, texts, func(name, text string) {
			if strings.TrimSpace(text) == "" {
				t.Errorf("%s: %s is missing", texts.Code, name)
			}
			if n := len(utf16.Encode([]rune(text))); n > 1024 {
				t.Errorf("%s: %s has %d characters", texts.Code, name, n)
			}
			if !balanced(text) {
				t.Errorf("%s: %s has unbalanced tags: %s", texts.Code, name, text)
			}
		})
		for _, short := range []string{texts.Outdated, texts.AlreadyHere, texts.PriceChanged, texts.Sending, texts.SomethingOff, texts.NotForSaleNow, texts.Busy(5), texts.Insufficient("100 ₽"), texts.Cancelled, texts.LanguageChosen} {
			if n := len([]rune(short)); n > 200 || strings.Contains(short, "<") {
				t.Errorf("%s: an answer to a press takes 200 plain characters: %q", texts.Code, short)
			}
		}
		if n := len([]rune(texts.ShortAbout)); n > 120 {
			t.Errorf("%s: short description has %d characters", texts.Code, n)
		}
	}
}

// balanced checks the nesting of Telegram's HTML.
func balanced(text string) bool {
	var open []string
	for _, part := range strings.Split(text, "<")[1:] {
		tag, _, ok := strings.Cut(part, ">")
		if !ok {
			return false
		}
		name, _, _ := strings.Cut(strings.TrimPrefix(tag, "/"), " ")
		if !strings.HasPrefix(tag, "/") {
			open = append(open, name)
			continue
		}
		if len(open) == 0 || open[len(open)-1] != name {
			return false
		}
		open = open[:len(open)-1]
	}
	return len(open) == 0
}

// Both languages use the same arguments: a translation that drops one shows a
// person less.
func TestTexts_BothLanguagesUseEveryArgument(t *testing.T) {
	t.Parallel()
	count := func(texts bot.Texts) map[string]int {
		n := map[string]int{}
		eachText(t, texts, func(name, text string) { n[name] = strings.Count(text, "«x»") })
		return n
	}
	en, ru := count(bot.English()), count(bot.Russian())
	for name, n := range en {
		if ru[name] != n {
			t.Errorf("%s: English uses %d arguments, Russian %d", name, n, ru[name])
		}
	}
}

// The Unicode CLDR rules are the judge.
func TestPlural_IsRussian(t *testing.T) {
	t.Parallel()
	forms := map[plural.Form]string{plural.One: "one", plural.Few: "few", plural.Many: "many"}
	for n := range 2000 {
		want := forms[plural.Cardinal.MatchPlural(language.Russian, n, 0, 0, 0, 0)]
		if got := bot.Plural(n, "one", "few", "many"); got != want {
			t.Fatalf("%d is %s, want %s", n, got, want)
		}
	}
}

func TestMoney_ReadsAsPeopleWriteIt(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		amount         ledger.Amount
		unit, language string
		want           string
	}{
		{64, "RUB", "en", "0.64 ₽"}, {64, "RUB", "ru", "0,64 ₽"}, {1800, "RUB", "ru", "18 ₽"}, {0, "RUB", "en", "0 ₽"},
		{123456789, "RUB", "ru", "1 234 567,89 ₽"}, {123456789, "USD", "en", "$1,234,567.89"}, {100000, "EUR", "en", "1,000 €"},
		{150, "KZT", "ru", "1,50 KZT"}, {-2050, "RUB", "en", "−20.50 ₽"},
	} {
		if got := strings.ReplaceAll(bot.Money(c.amount, c.unit, c.language), "\u00a0", " "); got != c.want {
			t.Errorf("%d %s %s = %q, want %q", c.amount, c.unit, c.language, got, c.want)
		}
	}
}

func TestCut_ShortensAtAWord(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"short": "short", strings.Repeat("я", 30): strings.Repeat("я", 19) + "…",
		"a quite lengthy word here": "a quite lengthy…",
	} {
		if got := bot.Cut(in, 20); got != want {
			t.Errorf("%q = %q, want %q", in, got, want)
		}
	}
}
