package app

import (
	"io"
	"log/slog"
	"os"
	"regexp"
	"strings"

	"golang.org/x/term"
)

// tokenShape matches a bot token wherever it stands.
const tokenShape = `\d{6,}:[A-Za-z0-9_-]{30,}` //nolint:gosec // a pattern, no credential

// NewLog returns the program's log. As a last line of defence it replaces every
// secret of the settings, and everything that looks like a bot token, in every
// text that it writes.
func NewLog(w io.Writer, c Config) *slog.Logger {
	var level slog.Level
	if err := level.UnmarshalText([]byte(c.LogLevel)); err != nil {
		level = slog.LevelInfo
	}
	o := &slog.HandlerOptions{Level: level, ReplaceAttr: redactor(c.secrets())}
	if c.LogFormat == "text" || c.LogFormat == "" && isTerminal(w) {
		return slog.New(slog.NewTextHandler(w, o))
	}
	return slog.New(slog.NewJSONHandler(w, o))
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

func redactor(secrets []string) func([]string, slog.Attr) slog.Attr {
	token := regexp.MustCompile(tokenShape)
	clean := func(s string) string {
		for _, secret := range secrets {
			s = strings.ReplaceAll(s, secret, "***")
		}
		return token.ReplaceAllString(s, "***")
	}
	return func(_ []string, a slog.Attr) slog.Attr {
		switch v := a.Value.Resolve(); v.Kind() {
		case slog.KindString:
			a.Value = slog.StringValue(clean(v.String()))
		case slog.KindAny:
			if err, ok := v.Any().(error); ok {
				a.Value = slog.StringValue(clean(err.Error()))
			}
		default:
		}
		return a
	}
}
