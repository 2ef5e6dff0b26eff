package app_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"kiosk/internal/app"
)

// The secrets of the tests. Each holds a word that stands nowhere else.
const (
	botToken = "7000000001:AAE-hidden-token_0123456789-abcdefghij"
	database = "postgres://kiosk:hidden-password@db.example.com:5432/kiosk?sslmode=require&a=b"
	kieKey   = "hidden-kie-key"
	kieHMAC  = "hidden-hmac-key"
	webhook  = "hidden-webhook-secret"
	migrate  = "postgres://owner:hidden-owner@db.example.com:5432/kiosk"
	lock     = "postgres://kiosk:hidden-lock@direct.example.com:5432/kiosk"
)

// valid returns the least that is accepted, with changes: pairs of a name and a
// value, where an empty value removes the name.
func valid(changes ...string) map[string]string {
	env := map[string]string{
		"TELEGRAM_BOT_TOKEN": botToken, "DATABASE_URL": database, "KIE_API_KEY": kieKey, "ADMIN_IDS": "700000001",
		"WEBHOOK_BASE_URL": "https://bot.example.com",
	}
	for pair := range slices.Chunk(changes, 2) {
		if env[pair[0]] = pair[1]; pair[1] == "" {
			delete(env, pair[0])
		}
	}
	return env
}

func load(env map[string]string) (app.Config, error) {
	return app.LoadConfig(func(name string) (string, bool) { v, ok := env[name]; return v, ok })
}

func mustLoad(t *testing.T, env map[string]string) app.Config {
	t.Helper()
	c, err := load(env)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// problems returns the names of the settings that the environment has wrong.
func problems(t *testing.T, env map[string]string) []app.Problem {
	t.Helper()
	_, err := load(env)
	var e *app.ConfigError
	if err != nil && !errors.As(err, &e) {
		t.Fatalf("%T %v, want a *ConfigError", err, err)
	}
	if e == nil {
		return nil
	}
	return e.Problems
}

func namesOf(list []app.Problem) []string {
	var names []string
	for _, p := range list {
		names = append(names, p.Name)
	}
	return names
}

func TestLoadConfig_TheLeastIsEnough(t *testing.T) {
	t.Parallel()
	c := mustLoad(t, valid())
	if c.BotToken.Reveal() != botToken || c.Database.Reveal() != database || c.KieKey.Reveal() != kieKey {
		t.Error("a secret was changed on its way")
	}
	if c.Mode != "webhook" || c.Port != 8080 || c.Currency != "RUB" || c.TelegramURL != "https://api.telegram.org" || c.Address() != ":8080" {
		t.Errorf("defaults: %+v", c)
	}
	if c.LockDatabase() != database || c.MigrateDatabase() != database {
		t.Error("lock and migrations do not fall back to DATABASE_URL")
	}
	if ids, err := c.Admins(); err != nil || !slices.Equal(ids, []int64{700000001}) {
		t.Errorf("admins: %v %v", ids, err)
	}
}

func TestLoadConfig_EverySettingIsRead(t *testing.T) {
	t.Parallel()
	c := mustLoad(t, valid("LOCK_DATABASE_URL", lock, "DATABASE_MIGRATE_URL", migrate, "LISTEN", "127.0.0.1:9", "ADMIN_IDS", "7, 8"))
	if c.LockDatabase() != lock || c.MigrateDatabase() != migrate || c.Address() != "127.0.0.1:9" {
		t.Errorf("address %s", c.Address())
	}
	if ids, err := c.Admins(); err != nil || !slices.Equal(ids, []int64{7, 8}) {
		t.Errorf("admins: %v %v", ids, err)
	}
}

func TestLoadConfig_PollingNeedsNoAddress(t *testing.T) {
	t.Parallel()
	mustLoad(t, valid("BOT_MODE", "polling", "WEBHOOK_BASE_URL", ""))
}

func TestLoadConfig_ReportsAllMistakesAtOnce(t *testing.T) {
	t.Parallel()
	env := map[string]string{
		"DATABASE_URL": "mysql://x", "ADMIN_IDS": "me", "BOT_MODE": "carrier pigeon", "DATABASE_MIGRATE_URL": "x", "LOCK_DATABASE_URL": "x",
		"TELEGRAM_API_URL": "api.telegram.org", "KIE_API_URL": "api.kie.ai", "PORT": "http", "LOCK_HEARTBEAT_SECONDS": "0",
		"SHUTDOWN_TIMEOUT_SECONDS": "0", "STOP_GRACE_SECONDS": "-1", "CURRENCY": "roubles", "USD_RATE": "0", "PRICE_MARKUP": "none", "MAX_COST_SHARE": "-1",
		"WELCOME_CREDIT": "1.234", "FREE_DAILY": "-1", "LOG_LEVEL": "loud", "LOG_FORMAT": "xml",
	}
	want := append(slices.Collect(maps.Keys(env)), "TELEGRAM_BOT_TOKEN", "KIE_API_KEY")
	list := problems(t, env)
	got := namesOf(list)
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("reported %v, want each of %v once", got, want)
	}
	_, err := load(env)
	for _, p := range list {
		if p.Text == "" || !strings.Contains(err.Error(), "\n  "+p.Name+": "+p.Text) {
			t.Errorf("%s: %q is not a line of %q", p.Name, p.Text, err)
		}
	}
}

func TestLoadConfig_ProblemsHaveAStableOrder(t *testing.T) {
	t.Parallel()
	env := map[string]string{"DATABASE_URL": "x", "DATABASE_MIGRATE_URL": "x", "LOCK_DATABASE_URL": "x", "TELEGRAM_API_URL": "x", "KIE_API_URL": "x"}
	first := namesOf(problems(t, env))
	for range 20 {
		if again := namesOf(problems(t, env)); !slices.Equal(first, again) {
			t.Fatalf("%v, then %v", first, again)
		}
	}
}

func TestLoadConfig_Refuses(t *testing.T) {
	t.Parallel()
	for name, values := range map[string][]string{
		"TELEGRAM_BOT_TOKEN":       {""},
		"DATABASE_URL":             {"", "db:5432", "mysql://db/kiosk"},
		"KIE_API_KEY":              {""},
		"ADMIN_IDS":                {"", "ada", "0", "-7", "7,", "7;8"},
		"WEBHOOK_BASE_URL":         {"", "bot.example.com", "http://bot.example.com", "http://10.0.0.1", "ftp://localhost", "https://"},
		"TELEGRAM_API_URL":         {"localhost:8081", "http://"},
		"KIE_API_URL":              {"localhost:8082", "://"},
		"PORT":                     {"http", "80.5", "99999999999999999999"},
		"LOCK_HEARTBEAT_SECONDS":   {"0", "-1", "two", "2s"},
		"SHUTDOWN_TIMEOUT_SECONDS": {"0", "-60", "1m"},
		"STOP_GRACE_SECONDS":       {"-1", "90s"},
		"CURRENCY":                 {"R", "RUBLE"},
		"USD_RATE":                 {"0", "-80", "eighty"},
		"PRICE_MARKUP":             {"0", "x2"},
		"MAX_COST_SHARE":           {"0", "80%"},
		"WELCOME_CREDIT":           {"-1", "1.234", "free", "1,5", "1.-5"},
		"FREE_DAILY":               {"-1", "some"},
		"LOG_LEVEL":                {"loud"},
		"LOG_FORMAT":               {"xml"},
		"BOT_MODE":                 {"both"},
	} {
		for _, value := range values {
			if got := namesOf(problems(t, valid(name, value))); !slices.Equal(got, []string{name}) {
				t.Errorf("%s=%q: reported %v, want it alone", name, value, got)
			}
		}
	}
}

func TestLoadConfig_AddressHasNoSlashAtItsEnd(t *testing.T) {
	t.Parallel()
	if c := mustLoad(t, valid("WEBHOOK_BASE_URL", "https://bot.example.com/")); c.WebhookURL != "https://bot.example.com" {
		t.Errorf("%q: a path behind it would begin with two slashes", c.WebhookURL)
	}
	for _, local := range []string{"http://127.0.0.1:8080", "http://localhost", "http://[::1]:8080"} {
		mustLoad(t, valid("WEBHOOK_BASE_URL", local))
	}
}

func TestLoadConfig_Fallbacks(t *testing.T) {
	t.Parallel()
	c := mustLoad(t, valid("ADMIN_IDS", "", "ADMIN_ID", "7", "WEBHOOK_BASE_URL", "", "RENDER_EXTERNAL_URL", "https://kiosk.onrender.com"))
	if c.AdminIDs != "7" || c.WebhookURL != "https://kiosk.onrender.com" {
		t.Errorf("admins %q, address %q", c.AdminIDs, c.WebhookURL)
	}
	c = mustLoad(t, valid("ADMIN_ID", "9", "RENDER_EXTERNAL_URL", "https://kiosk.onrender.com"))
	if c.AdminIDs != "700000001" || c.WebhookURL != "https://bot.example.com" {
		t.Errorf("admins %q, address %q: a fallback won", c.AdminIDs, c.WebhookURL)
	}
}

func TestLoadConfig_TimersMustFit(t *testing.T) {
	t.Parallel()
	mustLoad(t, valid("LOCK_HEARTBEAT_SECONDS", "15", "LOCK_STALE_HEARTBEAT_SECONDS", "60"))
	for _, c := range []struct{ heartbeat, stale, least string }{{"15", "49", "50"}, {"2", "6", "7"}, {"5", "5", "17"}, {"2", "0", "7"}, {"2", "-10", "7"}} {
		timers := func(stale string) map[string]string {
			return valid("LOCK_HEARTBEAT_SECONDS", c.heartbeat, "LOCK_STALE_HEARTBEAT_SECONDS", stale)
		}
		list := problems(t, timers(c.stale))
		if len(list) != 1 || list[0].Name != "LOCK_STALE_HEARTBEAT_SECONDS" {
			t.Fatalf("%s and %s: %v", c.heartbeat, c.stale, list)
		}
		twice, err := strconv.Atoi(c.heartbeat)
		stale, err2 := strconv.Atoi(c.stale)
		if err != nil || err2 != nil {
			t.Fatal(err, err2)
		}
		for _, number := range []string{fmt.Sprintf("(%d)", 2*twice), fmt.Sprintf("(%.1f)", 0.6*float64(stale)), "at least " + c.least} {
			if !strings.Contains(list[0].Text, number) {
				t.Errorf("%q does not say %s", list[0].Text, number)
			}
		}
		mustLoad(t, timers(c.least))
		below, err := strconv.Atoi(c.least)
		if err != nil {
			t.Fatal(err)
		}
		if len(problems(t, timers(strconv.Itoa(below-1)))) == 0 {
			t.Errorf("%d would have been enough, and %s was asked for", below-1, c.least)
		}
	}
}

func TestConfigError_NeverQuotesAValue(t *testing.T) {
	t.Parallel()
	const misplaced = "hidden: a secret in the wrong place: 1"
	for _, s := range mustLoad(t, valid()).Settings() {
		for _, env := range []map[string]string{valid(s.Name, misplaced), {s.Name: misplaced}} {
			if _, err := load(env); err != nil && strings.Contains(err.Error(), "hidden") {
				t.Errorf("%s: its value is in %q", s.Name, err)
			}
		}
	}
	everything := valid("PORT", "x", "TELEGRAM_WEBHOOK_SECRET", webhook, "KIE_WEBHOOK_HMAC_KEY", kieHMAC, "LOCK_DATABASE_URL", lock)
	if _, err := load(everything); err == nil || strings.Contains(err.Error(), "hidden") {
		t.Errorf("%v", err)
	}
}

func TestConfig_SecretsAreNeverPrinted(t *testing.T) {
	t.Parallel()
	c := mustLoad(t, valid("TELEGRAM_WEBHOOK_SECRET", webhook, "KIE_WEBHOOK_HMAC_KEY", kieHMAC, "LOCK_DATABASE_URL", lock, "DATABASE_MIGRATE_URL", migrate))
	texts := map[string]string{"Sprint": fmt.Sprint(c, &c, c.BotToken), "Settings": fmt.Sprintf("%v", c.Settings()[0].Value)}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		texts[verb] = fmt.Sprintf(verb+verb+verb, c, &c, c.BotToken)
	}
	for name, v := range map[string]any{"JSON": c, "JSON of settings": c.Settings(), "JSON of one": c.BotToken} {
		raw, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		texts[name] = string(raw)
	}
	var out bytes.Buffer
	for _, h := range []slog.Handler{slog.NewJSONHandler(&out, nil), slog.NewTextHandler(&out, nil)} {
		slog.New(h).Info("settings", "config", c, "pointer", &c, "token", c.BotToken, slog.Group("group", "key", c.KieKey))
	}
	texts["slog"] = out.String()
	hex := fmt.Sprintf("%x", "hidden")
	for name, text := range texts {
		if strings.Contains(text, "hidden") || strings.Contains(text, hex) {
			t.Errorf("%s prints a secret: %s", name, text)
		}
		if !strings.Contains(text, "***") {
			t.Errorf("%s does not show that there is a secret: %s", name, text)
		}
	}
}

func TestConfig_SettingsMaskSecretsAndShowTheRest(t *testing.T) {
	t.Parallel()
	for _, s := range mustLoad(t, valid()).Settings() {
		switch {
		case s.Name == "TELEGRAM_BOT_TOKEN" && (s.Value != "***" || !s.Secret || !s.Required):
			t.Errorf("%+v", s)
		case s.Name == "LOCK_DATABASE_URL" && (s.Value != "" || !s.Secret):
			t.Errorf("%+v: an unset secret must look unset", s)
		case s.Name == "PORT" && (s.Value != "8080" || s.Default != "8080" || s.Secret):
			t.Errorf("%+v", s)
		}
		if s.Name == "" || s.Desc == "" {
			t.Errorf("%+v has no name or no description", s)
		}
	}
}

// inFile returns the environment that names a file with the given text.
func inFile(t *testing.T, text string, changes ...string) map[string]string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "kiosk.env")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	env := map[string]string{"KIOSK_ENV_FILE": path}
	for pair := range slices.Chunk(changes, 2) {
		env[pair[0]] = pair[1]
	}
	return env
}

const envFile = "# settings\n\n" +
	"TELEGRAM_BOT_TOKEN=" + botToken + "\n" +
	"  export DATABASE_URL = \"postgres://kiosk:pa$$w0rd$HOME${X}@db:5432/kiosk\"  \r\n" +
	"KIE_API_KEY='hidden # kie = key'\n" +
	"ADMIN_ID=7\n" +
	"WEBHOOK_BASE_URL=https://bot.example.com\n" +
	"CURRENCY=\"EUR'\n" +
	"LOG_FORMAT=\n"

func TestEnvFile_IsReadAsItStands(t *testing.T) {
	t.Parallel()
	c := mustLoad(t, inFile(t, envFile, "CURRENCY", "USD"))
	if got := c.Database.Reveal(); got != "postgres://kiosk:pa$$w0rd$HOME${X}@db:5432/kiosk" {
		t.Errorf("DATABASE_URL is %q", got)
	}
	if got := c.KieKey.Reveal(); got != "hidden # kie = key" {
		t.Errorf("KIE_API_KEY is %q", got)
	}
	if c.AdminIDs != "7" || c.WebhookURL != "https://bot.example.com" || c.LogFormat != "" {
		t.Errorf("%+v", c)
	}
	if got := namesOf(problems(t, inFile(t, envFile))); !slices.Equal(got, []string{"CURRENCY"}) {
		t.Errorf("a value with unequal quotes keeps them, so it is no currency; reported %v", got)
	}
}

func TestEnvFile_EnvironmentWins(t *testing.T) {
	t.Parallel()
	c := mustLoad(t, inFile(t, envFile, "CURRENCY", "USD", "ADMIN_IDS", "8", "WEBHOOK_BASE_URL", ""))
	if c.Currency != "USD" || c.AdminIDs != "8" {
		t.Errorf("currency %q, admins %q", c.Currency, c.AdminIDs)
	}
	if c.WebhookURL != "https://bot.example.com" {
		t.Errorf("an empty variable hid the file's value: %q", c.WebhookURL)
	}
}

func TestEnvFile_BadLineIsNamedByItsNumber(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"PORT=1\n\n# x\nhidden-word\n": "line 4", "=hidden": "line 1", "PORT=1\nexport\n": "line 2", "PORT=1\n  = x\n": "line 2",
	} {
		list := problems(t, inFile(t, text))
		if len(list) != 1 || list[0].Name != "KIOSK_ENV_FILE" || !strings.Contains(list[0].Text, want+":") || strings.Contains(list[0].Text, "hidden") {
			t.Errorf("%q: %v, want %s of KIOSK_ENV_FILE", text, list, want)
		}
	}
}

func TestEnvFile_MissingFileIsNamed(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "none.env")
	list := problems(t, valid("KIOSK_ENV_FILE", path))
	if len(list) != 1 || list[0].Name != "KIOSK_ENV_FILE" || !strings.Contains(list[0].Text, path) {
		t.Errorf("%v", list)
	}
}

func TestEnvExample_IsUpToDate(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile("../../.env.example")
	if err != nil {
		t.Fatal(err)
	}
	if string(raw) != app.EnvExample() {
		t.Error(".env.example is not what the settings say; write app.EnvExample() into it")
	}
}

// What an operator copies must work once the values are theirs.
func TestEnvExample_IsAValidFile(t *testing.T) {
	t.Parallel()
	c := mustLoad(t, inFile(t, app.EnvExample()))
	for _, s := range c.Settings() {
		if !strings.Contains(app.EnvExample(), s.Name+"=") {
			t.Errorf("%s is not in the example", s.Name)
		}
	}
	uncommented := strings.ReplaceAll(app.EnvExample(), "\n#", "\n")
	var lines []string
	for line := range strings.Lines(uncommented) {
		if name, _, ok := strings.Cut(line, "="); ok && !strings.Contains(name, " ") {
			lines = append(lines, line)
		}
	}
	if all := mustLoad(t, inFile(t, strings.Join(lines, ""))); fmt.Sprint(all) != fmt.Sprint(c) {
		t.Errorf("the defaults in comments are not the defaults:\n%+v\n%+v", all, c)
	}
}

func TestDocs_HaveTheTableOfSettings(t *testing.T) {
	t.Parallel()
	for _, page := range []string{"README.md", "docs/deployment.md"} {
		raw, err := os.ReadFile("../../" + page)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(raw), "\n\n"+app.SettingsMarkdown()+"\n") {
			t.Errorf("%s does not contain the table of settings; put this into it:\n%s", page, app.SettingsMarkdown())
		}
	}
}
