package bot_test

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"kiosk/internal/bot"
	"kiosk/internal/catalog"
	"kiosk/internal/generation"
	"kiosk/internal/ledger"
	"kiosk/internal/provider"
	"kiosk/internal/provider/kie"
)

func chat(t testing.TB, language string, available ledger.Amount, freeLeft int) *bot.Chat {
	t.Helper()
	models, err := catalog.Embedded()
	if err != nil {
		t.Fatal(err)
	}
	pricer, err := catalog.NewPricer("80", "2", "0.8")
	if err != nil {
		t.Fatal(err)
	}
	books, err := ledger.New("RUB")
	if err != nil {
		t.Fatal(err)
	}
	client, err := kie.New("http://127.0.0.1:1", "key")
	if err != nil {
		t.Fatal(err)
	}
	prices, err := generation.New(generation.Deps{
		Pool: &pgxpool.Pool{}, Catalog: models, Pricer: pricer, Ledger: books, Log: slog.New(slog.DiscardHandler),
		Providers: map[string]provider.Provider{"kie": client}, Downloader: provider.NewDownloader(),
		CallbackURL: func(uuid.UUID) string { return "" },
		OpenFile:    func(context.Context, string) (*provider.File, error) { return nil, errors.ErrUnsupported },
	})
	if err != nil {
		t.Fatal(err)
	}
	return bot.NewChat(models, prices, language, available, freeLeft)
}

// press follows the button whose label contains text.
func press(t *testing.T, c *bot.Chat, s bot.Shown, text string) bot.Shown {
	t.Helper()
	for i, label := range s.Labels {
		if strings.Contains(strings.ReplaceAll(label, "\u00a0", " "), text) {
			return c.Press(s.Data[i])
		}
	}
	t.Fatalf("no button %q among %q", text, s.Labels)
	return bot.Shown{}
}

func TestScreens_ThePriceFollowsTheOptions(t *testing.T) {
	t.Parallel()
	c := chat(t, "en", 10_000, 0)
	press(t, c, press(t, c, c.Type("/start"), "Video"), "Seedance")
	s := c.Type("waves")
	for _, step := range []struct{ option, value, price string }{
		{"Quality", "1080p", "40 ₽"}, {"Length", "10", "80 ₽"}, {"Quality", "720p", "36 ₽"}, {"Format", "9:21", "36 ₽"},
	} {
		s = press(t, c, press(t, c, s, step.option), step.value)
		if !strings.Contains(strings.ReplaceAll(s.Text, "\u00a0", " "), "Price: <b>"+step.price) || !strings.Contains(s.Text, step.value) {
			t.Fatalf("after %s %s: %s", step.option, step.value, s.Text)
		}
	}
	if s = press(t, c, s, "Generate · 36 ₽"); !s.Order {
		t.Fatal("no order was placed")
	}
}

func TestScreens_ATextBeforeAModelBecomesItsPrompt(t *testing.T) {
	t.Parallel()
	c := chat(t, "en", 10_000, 1)
	s := c.Type("a cat on the moon")
	s = press(t, c, press(t, c, s, "Pictures"), "Z-Image · free")
	if !strings.Contains(s.Text, "a cat on the moon") || !slices.Contains(s.Labels, "Generate · free") {
		t.Fatalf("%+v", s)
	}
}

func TestScreens_WhatPeopleTypeIsEscaped(t *testing.T) {
	t.Parallel()
	c := chat(t, "en", 10_000, 0)
	press(t, c, press(t, c, c.Type("/start"), "Pictures"), "Z-Image")
	s := c.Type(`</blockquote><a href="tg://x">& me</a>`)
	if !strings.Contains(s.Text, "&lt;/blockquote&gt;&lt;a href=&#34;tg://x&#34;&gt;&amp; me&lt;/a&gt;") || !balanced(s.Text) {
		t.Fatal(s.Text)
	}
}

func TestScreens_AnOutdatedCardDoesNothing(t *testing.T) {
	t.Parallel()
	c := chat(t, "en", 10_000, 0)
	press(t, c, press(t, c, c.Type("/start"), "Pictures"), "Z-Image")
	old := c.Type("one")
	c.Type("two")
	for i := range old.Data {
		if old.Labels[i] == "Cancel" {
			continue
		}
		if s := c.Press(old.Data[i]); s.Order || s.Answer == "" || !strings.Contains(s.Text, "two") {
			t.Errorf("%s: %+v", old.Labels[i], s)
		}
	}
}

// A card that was left without an order does not claim that one is under way.
func TestScreens_ACardThatWasCancelledIsOutdated(t *testing.T) {
	t.Parallel()
	c := chat(t, "en", 10_000, 0)
	press(t, c, press(t, c, c.Type("/start"), "Pictures"), "Z-Image")
	card := c.Type("a fox")
	c.Type("/cancel")
	if s := press(t, c, card, "Generate"); s.Order || s.Answer != bot.English().Outdated {
		t.Fatalf("%+v", s)
	}
}

// A monkey presses and types at random: nothing panics, every button fits into
// Telegram's 64 bytes, every text is balanced, and garbage data is survived.
func TestScreens_Monkey(t *testing.T) {
	t.Parallel()
	for _, language := range []string{"en", "ru"} {
		r := rand.New(rand.NewPCG(1, 2))
		c := chat(t, language, 500, 2)
		var known []string
		for range 3000 {
			var s bot.Shown
			switch n := r.IntN(10); {
			case n < 6 && len(known) > 0:
				s = c.Press(known[r.IntN(len(known))])
			case n < 8:
				s = c.Type([]string{"/start", "/balance", "/cancel", "/language", "/help", "/nope", "a cat", strings.Repeat("длинно ", 400), " "}[r.IntN(9)])
			default:
				s = c.Press([]string{"", "1", "1:", "2:home", "1:set:1,99,99", "1:opt:-1,-1", "1:go:", "1:model:nothing", "1:cat:nothing", "1:card:1,2,3,4", "\x00", "1:opt:1,x"}[r.IntN(12)])
			}
			if !balanced(s.Text) {
				t.Fatalf("unbalanced: %s", s.Text)
			}
			for _, d := range s.Data {
				if len(d) > 64 {
					t.Fatalf("button data of %d bytes: %s", len(d), d)
				}
				if d != "" {
					known = append(known, d)
				}
			}
		}
		if len(known) < 1000 {
			t.Fatalf("only %d buttons were seen", len(known))
		}
	}
}
