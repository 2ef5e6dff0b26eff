package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"

	"kiosk/internal/app"
)

// question settles one setting.
type question struct {
	name   string
	text   string
	secret bool
	checks []string // of smoke, which judge the answer

	// optional makes an empty answer mean what the question says. A script must
	// say it by a flag, if there is one.
	optional bool
	flags    string
	instead  map[string]string // settings that an empty answer makes
	answered map[string]string // settings that another answer makes

	// when, if set, says that the question is worth asking.
	when func(context.Context, *setup) bool
}

// file is the setting that names a file with the secret.
func (q question) file() string { return q.name + "_FILE" }

func questions() []question {
	return []question{
		{name: "TELEGRAM_BOT_TOKEN", text: "The bot's token, from @BotFather:", secret: true, checks: []string{"telegram token"}},
		{name: "DATABASE_URL", text: "PostgreSQL, as postgres://USER:PASSWORD@HOST:5432/NAME:", secret: true, checks: []string{"database"}}, //nolint:gosec // it names no password
		{name: "LOCK_DATABASE_URL", text: "The direct address of the same database (empty: leave it so):", secret: true,
			checks: []string{"database", "lock database"}, optional: true, when: behindPooler},
		{name: "KIE_API_KEY", text: "KIE's API key, from kie.ai/api-key:", secret: true, checks: []string{"kie key", "kie credits"}},
		{name: "ADMIN_IDS", text: "Your Telegram id (@userinfobot tells it; several with commas):"},
		{name: "WEBHOOK_BASE_URL", text: "The public https address of this service (empty: polling, no address needed):",
			optional: true, flags: "--public-url or --polling", instead: map[string]string{"BOT_MODE": "polling"}, answered: map[string]string{"BOT_MODE": "webhook"}, when: notPolling},
	}
}

// behindPooler reports that the lock would work through a pooler, and says so.
func behindPooler(ctx context.Context, s *setup) bool {
	trouble := s.check(ctx, "database", "lock database")
	if trouble == nil || trouble.Check != "lock database" {
		return false
	}
	s.sayf("  note: %s\n  → %s", trouble.Cause, trouble.Remedy)
	return true
}

func notPolling(_ context.Context, s *setup) bool { return s.values["BOT_MODE"] != "polling" }

// settle takes a value from what is known or asks for one, until it is good.
func (s *setup) settle(ctx context.Context, q question) error {
	if q.when != nil && !q.when(ctx, s) {
		return nil
	}
	for {
		if err := s.answer(ctx, q); err != nil {
			return err
		}
		problem := s.problem(ctx, q)
		if problem == "" {
			return nil
		}
		if s.o.yes {
			return fmt.Errorf("%s: %s", q.name, problem)
		}
		s.sayf("  %s", problem)
		delete(s.values, q.name)
		delete(s.values, q.file())
	}
}

// answer finds a value: with --yes among what is known, else from the person, who
// may keep what is known.
func (s *setup) answer(ctx context.Context, q question) error {
	known := cmp.Or(s.values[q.name], s.values[q.file()])
	if s.o.yes {
		if known == "" && q.flags != "" {
			return usageError{fmt.Errorf("--yes asks nothing: name %s", q.flags)}
		}
		if known == "" && !q.optional {
			return usageError{fmt.Errorf("%s is required with --yes; set it in the environment", q.name)}
		}
		s.take(q, s.values[q.name])
		return nil
	}
	ask, text := s.p.line, q.text
	switch {
	case q.secret && known != "":
		text += " [keep the present one]"
	case known != "":
		text += " [" + known + "]"
	}
	if q.secret {
		ask = s.p.secret
	}
	given, err := ask(ctx, text)
	if err != nil {
		return err
	}
	if given == "" {
		s.take(q, s.values[q.name])
		return nil
	}
	delete(s.values, q.file()) // the answer replaces it
	s.take(q, given)
	return nil
}

// take keeps an answer and what follows from it.
func (s *setup) take(q question, value string) {
	s.values[q.name] = value
	consequences := q.answered
	if value == "" {
		consequences = q.instead
	}
	maps.Copy(s.values, consequences)
}

// problem says what is wrong with the present value, and what to do; "" for
// nothing. A warning is shown and accepted.
func (s *setup) problem(ctx context.Context, q question) string {
	_, err := s.config()
	if mistakes, ok := errors.AsType[*app.ConfigError](err); ok {
		for _, p := range mistakes.Problems {
			if p.Name == q.name || p.Name == q.file() {
				return strings.TrimSpace(p.Text)
			}
		}
	}
	if len(q.checks) == 0 || s.values[q.name] == "" && s.values[q.file()] == "" {
		return ""
	}
	trouble := s.check(ctx, q.checks...)
	if trouble == nil {
		return ""
	}
	text := fmt.Sprintf("%s: %s\n  → %s", trouble.Check, trouble.Cause, trouble.Remedy)
	if trouble.Status == "warn" {
		s.sayf("  note: %s", text)
		return ""
	}
	return text
}
