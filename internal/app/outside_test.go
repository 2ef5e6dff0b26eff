package app_test

import (
	"strings"
	"sync"
	"testing"
	"time"

	"kiosk/internal/app/apptest"
	"kiosk/internal/generation"
	"kiosk/internal/pg/pgtest"
	"kiosk/internal/simulator/kiesim"
	"kiosk/internal/simulator/telegramsim"
)

// quick polls fast, so that no test waits for a schedule.
var quick = generation.Limits{FirstPoll: 50 * time.Millisecond}

func kieFault(t *testing.T, w *apptest.World, f kiesim.Fault) {
	t.Helper()
	if err := w.Kie.Fault(f); err != nil {
		t.Fatal(err)
	}
}

func telegramFault(t *testing.T, w *apptest.World, f telegramsim.Fault) {
	t.Helper()
	if _, err := w.Telegram.Fault(f); err != nil {
		t.Fatal(err)
	}
}

// What the provider does wrong, what the person is told, and that it costs nothing.
func TestOutside_AFailureIsToldAndCostsNothing(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		fault kiesim.Fault
		told  string
	}{
		"generation fails":   {kiesim.Fault{Method: "generate", Action: "fail", Code: 501}, "The model failed"},
		"moderation":         {kiesim.Fault{Method: "generate", Action: "nsfw"}, "refused this content"},
		"no credits":         {kiesim.Fault{Method: "createTask", Action: "fail", Code: 402}, "not available at the moment"},
		"create is refused":  {kiesim.Fault{Method: "createTask", Action: "fail", Code: 422}, "did not take these settings"},
		"model switched off": {kiesim.Fault{Method: "createTask", Action: "fail", Code: 505}, "not available at the moment"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := apptest.New(t)
			kieFault(t, w, c.fault)
			w.Start(quick, nil)
			p := w.Person("Ada", "en")
			p.Order("Video", "Seedance", "waves")
			p.WaitText(c.told, "Nothing was charged", "8 ₽ is back")
			p.Say("/balance")
			p.WaitText("Balance: 100 ₽")
			if p.Files() != 0 {
				t.Error("a file was delivered")
			}
		})
	}
}

// A create whose answer is lost was accepted all the same. It is adopted through
// its callback, never created twice.
func TestOutside_ALostCreateIsAdoptedThroughItsCallback(t *testing.T) {
	t.Parallel()
	for name, f := range map[string]kiesim.Fault{
		"reply lost":            {Method: "createTask", Action: "drop_after", Count: 1},
		"callback before reply": {Method: "callback", Action: "early_callback", Count: 1},
		"duplicate callback":    {Method: "callback", Action: "duplicate_callback", Count: 1},
		"forged callback":       {Method: "callback", Action: "forged_callback", Count: 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := apptest.New(t)
			kieFault(t, w, f)
			w.Start(quick, nil)
			p := w.Person("Ada", "en")
			p.Order("Pictures", "Z-Image", "a fox")
			p.Wait("the picture", hasPhoto)
			p.WaitText("Charged: 0.64 ₽")
			if n := len(w.Kie.Tasks()); n != 1 {
				t.Errorf("%d tasks were created", n)
			}
			if p.Files() != 1 {
				t.Errorf("%d pictures were delivered", p.Files())
			}
		})
	}
}

// When nobody ever says what became of a lost create, it fails after the grace,
// honestly and without a charge.
func TestOutside_ALostCreateWithoutACallbackFailsAfterTheGrace(t *testing.T) {
	t.Parallel()
	w := apptest.New(t)
	kieFault(t, w, kiesim.Fault{Method: "createTask", Action: "drop_after", Count: 1})
	kieFault(t, w, kiesim.Fault{Method: "callback", Action: "no_callback"})
	w.Start(generation.Limits{FirstPoll: 50 * time.Millisecond, UnknownFor: time.Second}, nil)
	p := w.Person("Ada", "en")
	p.Order("Pictures", "Z-Image", "a fox")
	p.WaitText("could not find out", "Nothing was charged")
	if n := len(w.Kie.Tasks()); n != 1 {
		t.Errorf("%d tasks were created", n)
	}
}

// A dropped create is repeated later: nothing ran, and nothing was charged for it.
func TestOutside_ADroppedCreateIsRepeated(t *testing.T) {
	t.Parallel()
	w := apptest.New(t)
	kieFault(t, w, kiesim.Fault{Method: "createTask", Action: "fail", Code: 429, Count: 1})
	w.Start(quick, nil)
	p := w.Person("Ada", "en")
	p.Order("Pictures", "Z-Image", "a fox")
	p.Wait("the picture", hasPhoto)
	p.WaitText("Charged: 0.64 ₽")
}

func TestOutside_ADoubleTapIsOneOrder(t *testing.T) {
	t.Parallel()
	w := apptest.New(t)
	w.Start(quick, nil)
	p := w.Person("Ada", "en")
	p.Say("/start")
	p.Press("Pictures")
	p.Press("Z-Image")
	p.WaitText("Describe")
	p.Say("a fox")
	card := p.WaitText("a fox", "Price")
	b, _ := apptest.Button(card, "Generate")
	var taps sync.WaitGroup
	for range 5 {
		taps.Go(func() { _, _ = w.Telegram.Press(p.ID, card.MessageID, b.CallbackData) }) // later taps may find the button gone
	}
	taps.Wait()
	p.Wait("the picture", hasPhoto)
	p.WaitText("Charged: 0.64 ₽, balance: 99.36 ₽")
	pool := pgtest.Pool(t, w.Database)
	if n := one[int](t, pool, `SELECT count(*) FROM generations`); n != 1 {
		t.Fatalf("%d orders", n)
	}
}

func TestOutside_TooLittleMoneyIsAnsweredOnTheSpot(t *testing.T) {
	t.Parallel()
	w := apptest.New(t)
	w.Start(quick, map[string]string{"WELCOME_CREDIT": "5"})
	p := w.Person("Ada", "en")
	p.Say("/start")
	p.Press("Video")
	p.Press("Seedance")
	p.WaitText("Describe")
	p.Say("waves")
	p.WaitText("not enough")
	a := p.PressAnswered("Generate")
	if !a.ShowAlert || !strings.Contains(strings.ReplaceAll(a.Text, "\u00a0", " "), "3 ₽ is missing") {
		t.Fatalf("answer %+v", a)
	}
	if n := len(w.Kie.Tasks()); n != 0 {
		t.Errorf("%d tasks were created", n)
	}
}

// Free runs cost nothing until the day's allowance is used up.
func TestOutside_FreeRunsThenThePrice(t *testing.T) {
	t.Parallel()
	w := apptest.New(t)
	w.Start(quick, map[string]string{"FREE_DAILY": "1"})
	p := w.Person("Ada", "en")
	p.Order("Pictures", "Z-Image", "a fox")
	p.WaitText("Ready, free of charge", "100 ₽")
	p.Press("Once more")
	p.WaitText("a fox", "Price: 0.64 ₽")
	p.Press("Generate · 0.64")
	p.WaitText("Charged: 0.64 ₽, balance: 99.36 ₽")
}

// A result whose delivery is in doubt is never sent twice by itself: a button offers it.
func TestOutside_AnUncertainDeliveryIsOfferedAndNotRepeated(t *testing.T) {
	t.Parallel()
	w := apptest.New(t)
	w.Start(quick, nil)
	p := w.Person("Ada", "en")
	telegramFault(t, w, telegramsim.Fault{Method: "sendPhoto", Action: "drop_after", Count: 1})
	p.Order("Pictures", "Z-Image", "a fox")
	p.WaitText("did not confirm")
	if p.Files() != 1 {
		t.Fatalf("%d pictures before the button", p.Files())
	}
	p.PressAnswered("Send it to me")
	p.Wait("the second copy", func(telegramsim.Message) bool { return p.Files() == 2 })
}

// An apology whose arrival is in doubt is repeated once, and says so: two are
// better than none, and money is not concerned.
func TestOutside_AnUncertainApologyIsRepeatedOnce(t *testing.T) {
	t.Parallel()
	for name, lost := range map[string]int{"the first answer is lost": 1, "every answer is lost": 9} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := apptest.New(t)
			w.Start(quick, nil)
			p := w.Person("Ada", "en")
			kieFault(t, w, kiesim.Fault{Method: "generate", Action: "nsfw"})
			kieFault(t, w, kiesim.Fault{Method: "generate", Action: "slow", DelayMS: 700})
			p.Order("Pictures", "Z-Image", "a fox")
			p.WaitText("Sent to the model")
			telegramFault(t, w, telegramsim.Fault{Method: "sendMessage", Action: "drop_after", Count: lost})
			p.WaitText("Once more, in case", "Nothing was charged")
			pool := pgtest.Pool(t, w.Database)
			waitZero(t, pool, "apologies under way", `SELECT count(*) FROM outbox_messages WHERE state IN ('pending', 'sending')`)
			if n := strings.Count(p.Chat(), "it did not work out"); n != 2 {
				t.Errorf("the chat shows %d apologies, want 2:\n%s", n, p.Chat())
			}
		})
	}
}

// The ways of delivery: a URL that Telegram cannot fetch is uploaded; what is no
// photo goes as a document; what Telegram takes in no way goes as a link.
func TestOutside_DeliveryFallsBack(t *testing.T) {
	t.Parallel()
	const unfetchable, unusable = "Bad Request: failed to get HTTP URL content", "Bad Request: PHOTO_INVALID_DIMENSIONS"
	for name, c := range map[string]struct {
		faults []telegramsim.Fault
		fits   func(telegramsim.Message) bool
	}{
		"upload": {[]telegramsim.Fault{{Method: "sendPhoto", Action: "fail", Code: 400, Description: unfetchable, Count: 1}}, hasPhoto},
		"document": {[]telegramsim.Fault{{Method: "sendPhoto", Action: "fail", Code: 400, Description: unusable, Count: 2}},
			func(m telegramsim.Message) bool { return m.Document != nil }},
		"link": {[]telegramsim.Fault{{Method: "sendPhoto", Action: "fail", Code: 400, Description: unusable, Count: 2}, {Method: "sendDocument", Action: "fail", Code: 400, Description: "Bad Request: file is too big", Count: 1}},
			func(m telegramsim.Message) bool { return strings.Contains(m.Text, "Download it here") }},
		"429": {[]telegramsim.Fault{{Method: "sendPhoto", Action: "fail", Code: 429, RetryAfter: 1, Count: 1}}, hasPhoto},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := apptest.New(t)
			w.Start(quick, nil)
			p := w.Person("Ada", "en")
			for _, f := range c.faults {
				telegramFault(t, w, f)
			}
			p.Order("Pictures", "Z-Image", "a fox")
			p.Wait("the result by "+name, c.fits)
		})
	}
}

func TestOutside_ABlockedPersonIsLeftAloneAndTheResultWaits(t *testing.T) {
	t.Parallel()
	w := apptest.New(t)
	w.Start(quick, nil)
	p := w.Person("Ada", "en")
	kieFault(t, w, kiesim.Fault{Method: "generate", Action: "slow", DelayMS: 700})
	p.Order("Pictures", "Z-Image", "a fox")
	p.WaitText("Sent to the model")
	if err := w.Telegram.Block(p.ID); err != nil {
		t.Fatal(err)
	}
	pool := pgtest.Pool(t, w.Database)
	waitZero(t, pool, "the result was not given up", `SELECT 1 - count(*) FROM outbox_messages WHERE kind = 'generation.result' AND state = 'refused'`)
	waitZero(t, pool, "the block was not noted", `SELECT 1 - count(*) FROM bot_users WHERE blocked_at IS NOT NULL`)
	if err := w.Telegram.Unblock(p.ID); err != nil {
		t.Fatal(err)
	}
	p.Say("/history")
	p.WaitText("Z-Image", "done")
}

func TestOutside_PollingModeReceivesTheSame(t *testing.T) {
	t.Parallel()
	w := apptest.New(t)
	w.Start(quick, map[string]string{"BOT_MODE": "polling"})
	p := w.Person("Ольга", "ru")
	p.Say("/start")
	p.WaitText("Здравствуйте, Ольга", "100 ₽")
	p.Press("Картинки")
	p.Press("Z-Image")
	p.WaitText("Опишите")
	p.Say("лиса в снегу")
	p.Press("Создать · 0,64")
	p.Wait("the picture", hasPhoto)
	p.WaitText("Готово. Списано: 0,64 ₽, баланс: 99,36 ₽")
}

// Everything that can be pressed on the way is answered, outdated cards, too.
func TestOutside_EveryButtonIsAnswered(t *testing.T) {
	t.Parallel()
	w := apptest.New(t)
	w.Start(quick, nil)
	p := w.Person("Ada", "en")
	p.Say("/start")
	p.WaitText("What shall we make")
	for _, step := range []struct{ press, shows string }{
		{"Balance", "Balance: 100 ₽"}, {"Menu", "What shall we make"}, {"History", "Nothing here yet"}, {"Menu", "What shall we make"},
		{"Русский", "Что создадим"}, {"English", "What shall we make"}, {"Video", "Choose a model"}, {"Back", "What shall we make"},
		{"Pictures", "Choose a model"}, {"Z-Image", "Describe"}, {"Back", "Choose a model"}, {"Z-Image", "Describe"},
	} {
		p.PressAnswered(step.press)
		p.WaitText(step.shows)
	}
	p.Say("red whale")
	old := p.WaitText("red whale", "Price")
	p.Say("blue whale")
	p.WaitText("blue whale", "Price")
	options := func(m telegramsim.Message) bool {
		_, shown := apptest.Button(m, "• 1:1")
		return shown
	}
	p.PressAnswered("Format: 1:1")
	p.Wait("the formats", options)
	p.PressAnswered("Back")
	p.WaitText("blue whale", "Price")
	p.PressAnswered("Format: 1:1")
	p.Wait("the formats", options)
	p.PressAnswered("9:16")
	p.WaitText("blue whale", "Format: 9:16")
	generate, _ := apptest.Button(old, "Generate")
	id, err := w.Telegram.Press(p.ID, old.MessageID, generate.CallbackData)
	if err != nil {
		t.Fatal(err)
	}
	a, err := w.Telegram.WaitAnswer(w.Context(), p.ID, id)
	if err != nil || !strings.Contains(a.Text, "outdated") {
		t.Fatalf("answer %+v, %v", a, err)
	}
	if n := len(w.Kie.Tasks()); n != 0 {
		t.Fatalf("an outdated card placed an order")
	}
	p.PressAnswered("Cancel")
}
