package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"strings"

	"github.com/PaulSonOfLars/gotgbot/v2"
	"github.com/spf13/cobra"

	"kiosk/internal/app"
	"kiosk/internal/bot"
	"kiosk/internal/smoke"
	"kiosk/internal/telegram"
)

type setupOptions struct {
	file      string
	yes       bool
	replace   bool
	publicURL string
	polling   bool
	admins    string
}

func setupCommand() *cobra.Command {
	var o setupOptions
	c := &cobra.Command{
		Use: "setup", Short: "Ask for token and keys, check them live, and write the env file", Args: cobra.NoArgs,
		Long: "Ask for the bot's token, the database, KIE's key, your Telegram id and the public address; check each\n" +
			"one live; bring the database to this version's schema; set the bot's webhook, commands and descriptions;\n" +
			"write the env file; and end with `kiosk smoke`. Settings that the environment has are not asked for with --yes.",
		Example: "  kiosk setup\n  TELEGRAM_BOT_TOKEN=… DATABASE_URL=… KIE_API_KEY=… kiosk setup --yes --admin 700000001 --polling",
		RunE: func(c *cobra.Command, _ []string) error {
			if o.polling && o.publicURL != "" {
				return usageError{errors.New("--polling needs no address and --public-url names one: choose one")}
			}
			s := &setup{o: o, p: newPrompter(c.InOrStdin(), c.ErrOrStderr()), values: map[string]string{}}
			return s.run(c.Context(), c.OutOrStdout())
		},
	}
	c.Flags().StringVar(&o.file, "env-file", "", "the file to write (default: the one of KIOSK_ENV_FILE, else .env)")
	c.Flags().BoolVar(&o.yes, "yes", false, "ask nothing: take the settings from the environment and the flags")
	c.Flags().BoolVar(&o.replace, "replace", false, "replace the file, and another program's webhook, without asking")
	c.Flags().StringVar(&o.publicURL, "public-url", "", "the public https address of the instances")
	c.Flags().BoolVar(&o.polling, "polling", false, "ask Telegram for updates instead: no public address needed")
	c.Flags().StringVar(&o.admins, "admin", "", "Telegram ids of the operators, separated by commas")
	return c
}

// setup is one conversation.
type setup struct {
	o      setupOptions
	p      *prompter
	values map[string]string
}

func (s *setup) sayf(format string, args ...any) { fmt.Fprintf(s.p.out, format+"\n", args...) }

func (s *setup) run(ctx context.Context, stdout io.Writer) error {
	if err := s.begin(ctx); err != nil {
		return err
	}
	for _, q := range questions() {
		if err := s.settle(ctx, q); err != nil {
			return err
		}
	}
	cfg, err := s.config()
	if err != nil {
		return err
	}
	for _, step := range []func(context.Context, app.Config) error{s.migrate, s.register, s.greet} {
		if err := step(ctx, cfg); err != nil {
			return err
		}
	}
	if err := app.WriteEnvFile(s.o.file, s.values, true); err != nil {
		return err
	}
	s.sayf("wrote %s, readable by you only\n", s.o.file)
	return s.prove(ctx, cfg, stdout)
}

// begin decides about the file before anything is asked, and collects what is known.
func (s *setup) begin(ctx context.Context) error {
	if s.o.file == "" {
		s.o.file = ".env"
		if named := os.Getenv("KIOSK_ENV_FILE"); named != "" {
			s.o.file = named
		}
	}
	path, err := filepath.Abs(s.o.file)
	if err != nil {
		return fmt.Errorf("find the folder of the file: %w", err)
	}
	s.o.file = path
	if err := s.mayReplace(ctx); err != nil {
		return err
	}
	for _, name := range app.SharedNames() {
		if v := os.Getenv(name); v != "" {
			s.values[name] = v
		}
	}
	s.know("ADMIN_IDS", s.o.admins, os.Getenv("ADMIN_ID"))
	s.know("WEBHOOK_BASE_URL", s.o.publicURL, os.Getenv("RENDER_EXTERNAL_URL"))
	switch {
	case s.o.polling:
		s.values["BOT_MODE"] = "polling"
	case s.o.publicURL != "":
		s.values["BOT_MODE"] = "webhook"
	}
	return nil
}

// know takes a value from its flag, else keeps what is known, else falls back.
func (s *setup) know(name, flag, fallback string) {
	s.values[name] = cmp.Or(flag, s.values[name], fallback)
}

// mayReplace asks before an existing file is replaced. Its settings are kept as
// far as they are not answered anew.
func (s *setup) mayReplace(ctx context.Context) error {
	old, err := app.ReadEnvFile(s.o.file)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	replace := s.o.replace
	if !replace && !s.o.yes {
		var askErr error
		if replace, askErr = s.p.confirm(ctx, s.o.file+" exists. Change it?"); askErr != nil {
			return askErr
		}
	}
	if !replace {
		return usageError{fmt.Errorf("%s exists and was left as it is; --env-file names another file, --replace replaces it", s.o.file)}
	}
	if err != nil {
		return fmt.Errorf("read %s: %w", s.o.file, err)
	}
	maps.Copy(s.values, old)
	return nil
}

// config reads the values as an instance will.
func (s *setup) config() (app.Config, error) {
	return app.LoadConfig(func(name string) (string, bool) { v, ok := s.values[name]; return v, ok })
}

// check runs checks of smoke on the present values and returns the first that is
// not fine, nil if all are.
func (s *setup) check(ctx context.Context, names ...string) *smoke.Result {
	cfg, _ := s.config() // what is still missing concerns other checks
	c := cfg.Smoke(nil)
	c.Only, c.BeforeStart = names, true
	var warning *smoke.Result
	for _, r := range smoke.Run(ctx, c).Checks {
		switch {
		case r.Status == smoke.Fail:
			return &r
		case r.Status == smoke.Warn && warning == nil:
			warning = &r
		case r.Status == smoke.Pass && r.Check == names[len(names)-1]:
			s.sayf("  ok: %s", r.Found)
		}
	}
	return warning
}

// migrate brings the database to the schema of this binary.
func (s *setup) migrate(ctx context.Context, cfg app.Config) error {
	applied, _, err := app.Migrate(ctx, cfg, version)
	if err != nil {
		return err
	}
	s.sayf("the database has the schema of this version (%d migrations applied now)", len(applied))
	return nil
}

// register tells Telegram where to deliver and who the bot is.
func (s *setup) register(ctx context.Context, cfg app.Config) error {
	api, err := telegram.New(cfg.BotToken.Reveal(), cfg.TelegramURL)
	if err != nil {
		return err
	}
	if err := s.mayTakeOver(ctx, api, cfg); err != nil {
		return err
	}
	if err := cfg.RegisterWebhook(ctx, api); err != nil {
		return fmt.Errorf("set the webhook: %w", err)
	}
	if err := bot.Introduce(ctx, api); err != nil {
		return fmt.Errorf("set commands and descriptions: %w", err)
	}
	s.sayf("Telegram knows the webhook, the commands and the descriptions")
	return nil
}

// mayTakeOver asks before the updates of another program are taken from it.
func (s *setup) mayTakeOver(ctx context.Context, api *gotgbot.Bot, cfg app.Config) error {
	info, err := api.GetWebhookInfoWithContext(ctx, nil)
	if err != nil {
		return fmt.Errorf("ask for the webhook: %w", err)
	}
	if info.Url == "" || cfg.Mode == "webhook" && strings.HasPrefix(info.Url, cfg.WebhookURL+"/") || s.o.replace {
		return nil
	}
	host, _, _ := strings.Cut(strings.TrimPrefix(info.Url, "https://"), "/")
	if !s.o.yes {
		ok, err := s.p.confirm(ctx, "Another program at "+host+" receives this bot's updates now. Take them from it?")
		if err != nil || ok {
			return err
		}
	}
	return fmt.Errorf("another program at %s receives this bot's updates, and was left alone; use a bot of its own, or --replace", host)
}

// greet looks whether the operators can be written to, which is only possible
// once they have written to the bot.
func (s *setup) greet(ctx context.Context, cfg app.Config) error {
	ids, err := cfg.Admins()
	if err != nil {
		return err
	}
	api, err := telegram.New(cfg.BotToken.Reveal(), cfg.TelegramURL)
	if err != nil {
		return err
	}
	for _, id := range ids {
		chat, err := api.GetChatWithContext(ctx, id, nil)
		if err != nil {
			s.sayf("operator %d has not written to the bot yet: press START in its chat, or alerts will not arrive", id)
			continue
		}
		s.sayf("operator %d is %s", id, chat.FirstName)
	}
	return nil
}

// prove ends in the checks of a deployment that does not run yet.
func (s *setup) prove(ctx context.Context, cfg app.Config, stdout io.Writer) error {
	c := cfg.Smoke(nil)
	c.BeforeStart = true
	report := smoke.Run(ctx, c)
	if err := report.Print(stdout, wantsColour(stdout)); err != nil {
		return err
	}
	if !report.OK {
		return errors.New("not everything is fine; correct what failed and run `kiosk smoke --before-start`")
	}
	s.sayf("\nready: KIOSK_ENV_FILE=%s kiosk serve", s.o.file)
	return nil
}
