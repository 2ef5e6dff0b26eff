package app_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"testing"

	"kiosk/internal/app"
	"kiosk/internal/trace"
)

// secretConfig has every secret set, and one that begins another.
func secretConfig(format string) app.Config {
	return app.Config{
		BotToken: botToken, Database: database, KieKey: kieKey, MigrateURL: migrate, LockURL: database + "&hidden=too",
		WebhookSecret: webhook, KieHMAC: kieHMAC, LogFormat: format,
	}
}

// record is a value that no handler knows, with a secret at every depth.
type record struct {
	Name string
	Deep *record
	own  string
}

func (r record) String() string { return r.own }

// resolver gives its value only when it is asked.
type resolver struct{ value any }

func (r resolver) LogValue() slog.Value { return slog.AnyValue(r.value) }

func TestNewLog_WritesNoSecret(t *testing.T) {
	t.Parallel()
	for _, format := range []string{"json", "text"} {
		c := secretConfig(format)
		for _, s := range []app.Secret{c.BotToken, c.Database, c.KieKey, c.MigrateURL, c.LockURL, c.WebhookSecret, c.KieHMAC} {
			for name, log := range writers(s.Reveal()) {
				var out bytes.Buffer
				log(app.NewLog(&out, c))
				if text := out.String(); strings.Contains(text, "hidden") || !strings.Contains(text, "***") {
					t.Errorf("%s, %s: %s", format, name, text)
				}
			}
		}
	}
}

// A secret with characters that a log escapes is hidden in its escaped form, too.
func TestNewLog_HidesSecretsThatNeedEscapes(t *testing.T) {
	t.Parallel()
	const odd = "hid\"den\\key<&>ü\t end"
	for _, format := range []string{"json", "text"} {
		var out bytes.Buffer
		log := app.NewLog(&out, app.Config{KieHMAC: odd, LogFormat: format})
		log.Info("m "+odd, "value", odd, "error", errors.New("e "+odd), "list", []string{odd}, "struct", record{Name: odd, own: odd})
		if text := out.String(); strings.Contains(text, "den") || strings.Count(text, "***") < 5 {
			t.Errorf("%s: %s", format, text)
		}
	}
}

// writers are the ways by which a secret may get into a log.
func writers(secret string) map[string]func(*slog.Logger) {
	failed := fmt.Errorf("call: %w", &url.Error{Op: "Post", URL: "https://api.example.com/bot" + secret + "/x", Err: errors.New("refused " + secret)})
	at := &url.URL{Scheme: "https", Host: "example.com", Path: "/file/" + secret}
	return map[string]func(*slog.Logger){
		"message":        func(l *slog.Logger) { l.Info("begin " + secret + " end " + secret) },
		"attribute":      func(l *slog.Logger) { l.Info("x", "value", secret) },
		"key":            func(l *slog.Logger) { l.Info("x", secret, 1) },
		"error":          func(l *slog.Logger) { l.Error("x", "error", failed) },
		"joined error":   func(l *slog.Logger) { l.Error("x", "error", errors.Join(errors.New("first"), failed)) },
		"error's text":   func(l *slog.Logger) { l.Error("x", "error", failed.Error()) },
		"group":          func(l *slog.Logger) { l.Info("x", slog.Group("g", slog.Group("h", "value", secret, "error", failed))) },
		"open group":     func(l *slog.Logger) { l.WithGroup("g").With("value", secret).Info("x", "error", failed) },
		"group's name":   func(l *slog.Logger) { l.WithGroup(secret).Info("x", "value", 1) },
		"struct":         func(l *slog.Logger) { l.Info("x", "value", record{Name: secret, own: secret}) },
		"nested pointer": func(l *slog.Logger) { l.Info("x", "value", record{own: secret, Deep: &record{Name: secret}}) },
		"list":           func(l *slog.Logger) { l.Info("x", "value", []string{"a", secret}) },
		"map":            func(l *slog.Logger) { l.Info("x", "value", map[string]any{"deep": []any{secret}}) },
		"raw JSON":       func(l *slog.Logger) { l.Info("x", "value", rawJSON(secret)) },
		"resolved later": func(l *slog.Logger) { l.Info("x", "value", resolver{secret}, "error", resolver{failed}) },
		"URL":            func(l *slog.Logger) { l.Info("x", "value", at.Path) },
		"panic's value":  func(l *slog.Logger) { l.Error("x", "panic", any(secret)) },
		"old log":        func(l *slog.Logger) { slog.NewLogLogger(l.Handler(), slog.LevelError).Print("http: " + secret) },
	}
}

func rawJSON(text string) json.RawMessage {
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	_ = e.Encode(text) // a string into memory
	return bytes.TrimSpace(out.Bytes())
}

func TestNewLog_HidesWhatLooksLikeAToken(t *testing.T) {
	t.Parallel()
	const foreign = "5123456789:AAHforeign-token_of-another-bot0123"
	for _, format := range []string{"json", "text"} {
		for name, log := range writers(foreign) {
			var out bytes.Buffer
			log(app.NewLog(&out, app.Config{LogFormat: format}))
			if text := out.String(); strings.Contains(text, "foreign") || !strings.Contains(text, "***") {
				t.Errorf("%s, %s: %s", format, name, text)
			}
		}
	}
}

func TestNewLog_LeavesTheRestAlone(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	app.NewLog(&out, secretConfig("json")).Info("order paid", "user_id", 700000001, "time", "12:34:56", "note", "кот & co",
		"model", "bytedance/v1", slog.Group("lock", "epoch", 7), "error", errors.New("no route to host"))
	var got map[string]any
	if err := json.Unmarshal(out.Bytes(), &got); err != nil {
		t.Fatalf("%s: %v", out.String(), err)
	}
	group, ok := got["lock"].(map[string]any)
	if got["msg"] != "order paid" || got["level"] != "INFO" || got["user_id"] != 700000001.0 || got["note"] != "кот & co" || !ok || group["epoch"] != 7.0 {
		t.Errorf("%s", out.String())
	}
	if got["error"] != "no route to host" || got["model"] != "bytedance/v1" || strings.Contains(out.String(), "***") {
		t.Errorf("%s", out.String())
	}
}

func TestNewLog_FormatAndLevel(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		config app.Config
		json   bool
		lines  int // of one record each of debug, info, warn and error
	}{
		"no terminal":   {app.Config{LogLevel: "info"}, true, 3},
		"json":          {app.Config{LogLevel: "debug", LogFormat: "json"}, true, 4},
		"text":          {app.Config{LogLevel: "warn", LogFormat: "text"}, false, 2},
		"error only":    {app.Config{LogLevel: "error"}, true, 1},
		"unknown level": {app.Config{LogLevel: "loud"}, true, 3},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var out bytes.Buffer
			log := app.NewLog(&out, c.config)
			log.Debug("d")
			log.Info("i")
			log.Warn("w")
			log.Error("e")
			lines := strings.Split(strings.TrimSpace(out.String()), "\n")
			if len(lines) != c.lines || json.Valid([]byte(lines[0])) != c.json {
				t.Errorf("%d lines: %s", len(lines), out.String())
			}
		})
	}
}

// An address may let its reader in: of a result, of a callback, of a file.
func TestNewLog_CutsAddressesAfterTheirHost(t *testing.T) {
	t.Parallel()
	for _, format := range []string{"json", "text"} {
		var out bytes.Buffer
		log := app.NewLog(&out, app.Config{LogFormat: format})
		log.Warn("m", "error", &url.Error{Op: "Get", URL: "https://files.example.com/a/hidden.png?sig=hidden", Err: errors.New("EOF")},
			"plain", "see http://127.0.0.1:8080/callback/kie/hidden now", "host", "https://example.com")
		text := out.String()
		if strings.Contains(text, "hidden") || !strings.Contains(text, "https://files.example.com/***") || !strings.Contains(text, "EOF") ||
			!strings.Contains(text, "http://127.0.0.1:8080/*** now") || strings.Contains(text, "https://example.com/***") {
			t.Errorf("%s: %s", format, text)
		}
	}
}

func TestNewLog_SaysOfWhichTraceALineIs(t *testing.T) {
	t.Parallel()
	id := trace.New()
	for _, format := range []string{"json", "text"} {
		var out bytes.Buffer
		app.NewLog(&out, app.Config{LogFormat: format}).InfoContext(trace.Into(t.Context(), id), "m")
		if !strings.Contains(out.String(), trace.Text(id)) {
			t.Errorf("%s: %s", format, out.String())
		}
	}
}
