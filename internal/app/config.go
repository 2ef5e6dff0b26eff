package app

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/caarlos0/env/v11"

	"kiosk/internal/catalog"
	"kiosk/internal/ledger"
	"kiosk/singleton"
)

// Secret is a setting that is never printed. Use Reveal where it is needed.
type Secret string

// Reveal returns the secret itself.
func (s Secret) Reveal() string { return string(s) }

// String hides the secret.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return "***"
}

// Format hides the secret from every verb of fmt.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, s.String()) } // fmt keeps its own errors

// LogValue hides the secret from slog.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// MarshalText hides the secret from JSON.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Config holds all settings. The tags are the documentation: the README table,
// .env.example and `kiosk env` are made from them.
type Config struct {
	BotToken   Secret `env:"TELEGRAM_BOT_TOKEN" required:"yes" example:"123456:ABC-DEF" desc:"the bot's token from @BotFather"`
	Database   Secret `env:"DATABASE_URL" required:"yes" example:"postgres://kiosk:secret@db:5432/kiosk" desc:"PostgreSQL 15 or newer"`
	KieKey     Secret `env:"KIE_API_KEY" required:"yes" example:"kie-key" desc:"API key of KIE.ai"`
	AdminIDs   string `env:"ADMIN_IDS" required:"yes" example:"700000001" desc:"Telegram ids of the operators, separated by commas; ADMIN_ID is accepted for one"`
	Mode       string `env:"BOT_MODE" envDefault:"webhook" desc:"webhook, or polling (no public address needed; only the ACTIVE instance polls)"`
	WebhookURL string `env:"WEBHOOK_BASE_URL" example:"https://bot.example.com" desc:"public https address; required in webhook mode; RENDER_EXTERNAL_URL is the fallback"`

	MigrateURL    Secret `env:"DATABASE_MIGRATE_URL" desc:"as DATABASE_URL, for the schema's owner where that is another role"`
	LockURL       Secret `env:"LOCK_DATABASE_URL" desc:"direct, unpooled URL for the lock; DATABASE_URL when empty"`
	WebhookSecret Secret `env:"TELEGRAM_WEBHOOK_SECRET" desc:"what Telegram sends with every update; derived from the token when empty; after a change the old one is accepted until Telegram uses the new one"`
	TelegramURL   string `env:"TELEGRAM_API_URL" envDefault:"https://api.telegram.org" desc:"another Bot API server"`
	KieURL        string `env:"KIE_API_URL" envDefault:"https://api.kie.ai" desc:"another KIE server"`
	KieUploadURL  string `env:"KIE_UPLOAD_URL" envDefault:"https://kieai.redpandaai.co" desc:"another KIE upload server"`
	KieHMAC       Secret `env:"KIE_WEBHOOK_HMAC_KEY" desc:"webhookHmacKey of your KIE settings; callbacks are checked when it is set"`

	Port   int    `env:"PORT" envDefault:"8080" desc:"port of the HTTP server"`
	Listen string `env:"LISTEN" desc:"address of the HTTP server; all interfaces on PORT when empty"`

	LockMode       string `env:"LOCK_MODE" envDefault:"auto" desc:"session (advisory lock on a direct connection), lease (through a transaction pooler), auto finds out"`
	Heartbeat      int    `env:"LOCK_HEARTBEAT_SECONDS" envDefault:"2" desc:"how often the ACTIVE instance renews its lock"`
	StaleHeartbeat int    `env:"LOCK_STALE_HEARTBEAT_SECONDS" envDefault:"10" desc:"no renewal this long: a PASSIVE instance takes over"`
	StaleIdle      int    `env:"LOCK_STALE_IDLE_SECONDS" envDefault:"120" desc:"work waits and the ACTIVE instance makes no progress this long: takeover; start-up time plays no part"`
	Supersede      bool   `env:"LOCK_NEWER_VERSION_FIRST" envDefault:"true" desc:"a newer version that is ready asks an older ACTIVE one to hand over"`
	Shutdown       int    `env:"SHUTDOWN_TIMEOUT_SECONDS" envDefault:"60" desc:"how long a stop may take"`
	StopGrace      int    `env:"STOP_GRACE_SECONDS" envDefault:"0" desc:"how long the platform lets a stop take before it kills; the files in deploy/ say it, 0 means its default"`

	Currency  string `env:"CURRENCY" envDefault:"RUB" desc:"currency of balances and prices"`
	Rate      string `env:"USD_RATE" envDefault:"80" desc:"currency units per US dollar of cost"`
	Markup    string `env:"PRICE_MARKUP" envDefault:"2.0" desc:"price = cost x rate x mark-up, rounded up"`
	MaxShare  string `env:"MAX_COST_SHARE" envDefault:"0.8" desc:"a model whose cost exceeds this share of its price is not sold"`
	Welcome   string `env:"WELCOME_CREDIT" envDefault:"0" desc:"given once to everybody new, in currency units"`
	FreeDaily int    `env:"FREE_DAILY" envDefault:"0" desc:"free runs of free models per user in 24 hours"`

	LowCredits int `env:"LOW_CREDITS" envDefault:"1000" desc:"the operators are alarmed when fewer KIE credits are left (1000 are 5 US dollars); 0: never"`

	Retention int `env:"RETENTION_DAYS" envDefault:"30" desc:"how long updates, messages, histories, prompts and inputs are kept; money is kept for ever"`

	LogLevel  string `env:"LOG_LEVEL" envDefault:"info" desc:"debug, info, warn or error"`
	LogFormat string `env:"LOG_FORMAT" desc:"json or text; text on a terminal when empty"`
	Traces    string `env:"OTEL_EXPORTER_OTLP_ENDPOINT" desc:"collector of OpenTelemetry traces (OTLP over HTTP), such as http://localhost:4318; off when empty"`
	Instance  string `env:"INSTANCE_NAME" desc:"this instance's name in health and history; host and random when empty"`
}

// Problem is one mistake in the settings.
type Problem struct {
	Name string // of the setting
	Text string // what is wrong and what to write
}

// ConfigError lists every mistake at once.
type ConfigError struct{ Problems []Problem }

// Error lists the mistakes, one a line.
func (e *ConfigError) Error() string {
	var b strings.Builder
	b.WriteString("the settings are not valid:")
	for _, p := range e.Problems {
		fmt.Fprintf(&b, "\n  %s: %s", p.Name, p.Text)
	}
	return b.String()
}

// Getenv reads one variable of the environment.
type Getenv func(string) (string, bool)

// LoadConfig reads the settings from the environment and from the file that
// KIOSK_ENV_FILE names; the environment wins. In both, NAME_FILE may name a file
// that holds the secret NAME. The error is a *ConfigError with all mistakes.
func LoadConfig(getenv Getenv) (Config, error) {
	values := map[string]string{}
	if file, ok := getenv("KIOSK_ENV_FILE"); ok && file != "" {
		fromFile, err := ReadEnvFile(file)
		if err != nil {
			return Config{}, &ConfigError{[]Problem{{"KIOSK_ENV_FILE", err.Error()}}}
		}
		values = fromFile
	}
	overlay(values, getenv)
	problems := readSecretFiles(values)
	var c Config
	fallback(values, "ADMIN_IDS", "ADMIN_ID")
	fallback(values, "WEBHOOK_BASE_URL", "RENDER_EXTERNAL_URL")
	problems = append(problems, parseProblems(env.ParseWithOptions(&c, env.Options{Environment: values}))...)
	c.WebhookURL = strings.TrimRight(c.WebhookURL, "/")
	for _, p := range c.problems() {
		explained := func(q Problem) bool { return q.Name == p.Name || q.Name == p.Name+fileSuffix }
		if !slices.ContainsFunc(problems, explained) { // the first mistake of a setting explains the others
			problems = append(problems, p)
		}
	}
	if len(problems) > 0 {
		return c, &ConfigError{problems}
	}
	return c, nil
}

func fallback(values map[string]string, name, other string) {
	if values[name] == "" && values[other] != "" {
		values[name] = values[other]
	}
}

// ReadEnvFile reads NAME=value lines. Values are taken as they stand, without
// interpolation, because passwords contain dollar signs; quotes around a whole
// value are removed.
func ReadEnvFile(path string) (map[string]string, error) {
	f, err := os.Open(path) //nolint:gosec // the operator names the file
	if err != nil {
		return nil, fmt.Errorf("open the file: %w", err)
	}
	defer f.Close()
	return parseEnv(f)
}

func parseEnv(r io.Reader) (map[string]string, error) {
	values := map[string]string{}
	lines := bufio.NewScanner(r)
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(lines.Text()), "export "))
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		name, value, ok := strings.Cut(line, "=")
		if !ok || strings.TrimSpace(name) == "" {
			return nil, fmt.Errorf("line %d: want NAME=value", n)
		}
		value = strings.TrimSpace(value)
		if len(value) >= 2 && (value[0] == '"' || value[0] == '\'') && value[len(value)-1] == value[0] {
			value = value[1 : len(value)-1]
		}
		values[strings.TrimSpace(name)] = value
	}
	return values, lines.Err()
}

// parseProblems renames the library's field errors to settings, and drops the
// values that they quote: a value may be a secret in the wrong place.
func parseProblems(err error) []Problem {
	var all env.AggregateError
	if !errors.As(err, &all) {
		return nil
	}
	var list []Problem
	for _, e := range all.Errors {
		if p, ok := errors.AsType[env.ParseError](e); ok {
			f, _ := reflect.TypeFor[Config]().FieldByName(p.Name)
			list = append(list, Problem{f.Tag.Get("env"), "want a whole number"})
		}
	}
	return list
}

// problems checks what single fields cannot say.
func (c Config) problems() []Problem {
	var list []Problem
	add := func(name, format string, args ...any) {
		list = append(list, Problem{name, fmt.Sprintf(format, args...)})
	}
	for _, s := range c.Settings() {
		if s.Required && s.value == "" {
			add(s.Name, "is required: %s", s.Desc)
		}
	}
	if _, err := c.Admins(); err != nil {
		add("ADMIN_IDS", "%s", err)
	}
	list = append(list, c.addressProblems()...)
	if c.Heartbeat < 1 {
		add("LOCK_HEARTBEAT_SECONDS", "want at least 1")
	} else if singleton.CheckTimers(c.heartbeat(), c.stale(), c.stale()) != nil {
		add("LOCK_STALE_HEARTBEAT_SECONDS", "2 x LOCK_HEARTBEAT_SECONDS (%d) must not exceed 0.6 x it (%.1f): two renewals must fit before the holder gives up; write at least %d",
			2*c.Heartbeat, 0.6*float64(c.StaleHeartbeat), (2*c.Heartbeat*10+5)/6)
	}
	if c.StaleIdle < c.StaleHeartbeat {
		add("LOCK_STALE_IDLE_SECONDS", "must not be below LOCK_STALE_HEARTBEAT_SECONDS (%d): a silent holder is replaced before a slow one; write at least that", c.StaleHeartbeat)
	}
	if !slices.Contains([]string{"auto", "session", "lease"}, c.LockMode) {
		add("LOCK_MODE", "want auto, session or lease")
	}
	if c.Shutdown < 1 {
		add("SHUTDOWN_TIMEOUT_SECONDS", "want at least 1")
	}
	if c.StopGrace < 0 {
		add("STOP_GRACE_SECONDS", "want 0 or more")
	}
	if _, err := ledger.New(c.Currency); err != nil {
		add("CURRENCY", "%s", advice(err))
	}
	for _, p := range []struct{ name, rate, markup, share string }{
		{"USD_RATE", c.Rate, "1", "1"}, {"PRICE_MARKUP", "1", c.Markup, "1"}, {"MAX_COST_SHARE", "1", "1", c.MaxShare},
	} {
		if _, err := catalog.NewPricer(p.rate, p.markup, p.share); err != nil {
			add(p.name, "%s", advice(err))
		}
	}
	if _, err := minor(c.Welcome); err != nil {
		add("WELCOME_CREDIT", "%s", err)
	}
	if c.FreeDaily < 0 {
		add("FREE_DAILY", "want 0 or more")
	}
	if c.LowCredits < 0 {
		add("LOW_CREDITS", "want 0 or more")
	}
	if c.Retention < 1 {
		add("RETENTION_DAYS", "want at least 1")
	}
	if !slices.Contains([]string{"debug", "info", "warn", "error"}, c.LogLevel) {
		add("LOG_LEVEL", "want debug, info, warn or error")
	}
	if !slices.Contains([]string{"", "json", "text"}, c.LogFormat) {
		add("LOG_FORMAT", "want json or text")
	}
	return list
}

// advice returns the end of an error, which says what to write, without the
// value that the error quotes before: it may be a secret in the wrong place.
func advice(err error) string {
	text := err.Error()
	return strings.TrimSpace(text[strings.LastIndexByte(text, ':')+1:])
}

func (c Config) addressProblems() []Problem {
	var list []Problem
	if c.Mode != "webhook" && c.Mode != "polling" {
		list = append(list, Problem{"BOT_MODE", "want webhook or polling"})
	}
	if c.Mode == "webhook" && !publicOrLoopback(c.WebhookURL) {
		list = append(list, Problem{"WEBHOOK_BASE_URL", "want the public https address of this service, such as https://bot.example.com; or set BOT_MODE=polling"})
	}
	for _, s := range []struct{ name, address string }{{"TELEGRAM_API_URL", c.TelegramURL}, {"KIE_API_URL", c.KieURL}, {"KIE_UPLOAD_URL", c.KieUploadURL}, {"OTEL_EXPORTER_OTLP_ENDPOINT", c.Traces}} {
		if s.address == "" && s.name == "OTEL_EXPORTER_OTLP_ENDPOINT" {
			continue
		}
		if u, err := url.Parse(s.address); err != nil || u.Host == "" {
			list = append(list, Problem{s.name, "want a URL such as https://api.example.com"})
		}
	}
	for _, s := range []struct {
		name string
		url  Secret
	}{{"DATABASE_URL", c.Database}, {"DATABASE_MIGRATE_URL", c.MigrateURL}, {"LOCK_DATABASE_URL", c.LockURL}} {
		if s.url != "" && !strings.HasPrefix(s.url.Reveal(), "postgres://") && !strings.HasPrefix(s.url.Reveal(), "postgresql://") {
			list = append(list, Problem{s.name, "want a URL that begins with postgres://"})
		}
	}
	return list
}

func publicOrLoopback(address string) bool {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" {
		return false
	}
	return u.Scheme == "https" || u.Scheme == "http" && (u.Hostname() == "127.0.0.1" || u.Hostname() == "localhost" || u.Hostname() == "::1")
}

// Admins returns the operators' Telegram ids.
func (c Config) Admins() ([]int64, error) {
	var ids []int64
	for part := range strings.SplitSeq(c.AdminIDs, ",") {
		id, err := strconv.ParseInt(strings.TrimSpace(part), 10, 64)
		if err != nil || id <= 0 {
			return nil, errors.New("want Telegram ids such as 700000001,700000002")
		}
		ids = append(ids, id)
	}
	return ids, nil
}

// minor reads an amount in currency units exactly.
func minor(text string) (ledger.Amount, error) {
	whole, cents, _ := strings.Cut(strings.TrimSpace(text), ".")
	n, err := strconv.ParseInt(whole+(cents + "00")[:2], 10, 64)
	if err != nil || n < 0 || len(cents) > 2 {
		return 0, errors.New("want an amount such as 100 or 99.50")
	}
	return ledger.Amount(n), nil
}

func (c Config) heartbeat() time.Duration { return time.Duration(c.Heartbeat) * time.Second }
func (c Config) stale() time.Duration     { return time.Duration(c.StaleHeartbeat) * time.Second }
func (c Config) staleIdle() time.Duration { return time.Duration(c.StaleIdle) * time.Second }

func (c Config) retention() time.Duration { return time.Duration(c.Retention) * 24 * time.Hour }

func (c Config) shutdown() time.Duration { return time.Duration(c.Shutdown) * time.Second }

// Address returns where the HTTP server listens.
func (c Config) Address() string {
	if c.Listen != "" {
		return c.Listen
	}
	return ":" + strconv.Itoa(c.Port)
}

// LockDatabase returns the URL of the lock's connection.
func (c Config) LockDatabase() string {
	if c.LockURL != "" {
		return c.LockURL.Reveal()
	}
	return c.Database.Reveal()
}

// MigrateDatabase returns the URL with which the schema is changed. The lock's
// is preferred to a pooled one, since migrations, too, hold a session's lock.
func (c Config) MigrateDatabase() string {
	if c.MigrateURL != "" {
		return c.MigrateURL.Reveal()
	}
	return c.LockDatabase()
}
