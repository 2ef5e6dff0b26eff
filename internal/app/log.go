package app

import (
	"io"
	"log/slog"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/term"

	"kiosk/internal/trace"
)

// tokenShape matches a bot token wherever it stands. It is no credential itself.
const tokenShape = `\d{6,}:[A-Za-z0-9_-]{30,}`

// addressShape matches an address with a path: of a file, of a callback.
const addressShape = `(https?://[^/\s"\\]+)/[^\s"\\]+`

// NewLog returns the program's log. As a last line of defence it replaces every
// secret of the settings, everything that looks like a bot token, and the paths of
// addresses, which may let their reader in, in all that it writes. A line that is
// logged with a context says of which trace it is.
func NewLog(w io.Writer, c Config) *slog.Logger {
	var level slog.Level
	if err := level.UnmarshalText([]byte(c.LogLevel)); err != nil {
		level = slog.LevelInfo
	}
	o := &slog.HandlerOptions{Level: level}
	clean := newRedactor(w, c.secrets())
	if c.LogFormat == "text" || c.LogFormat == "" && isTerminal(w) {
		return slog.New(trace.Handler(slog.NewTextHandler(clean, o)))
	}
	return slog.New(trace.Handler(slog.NewJSONHandler(clean, o)))
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// redactor hides secrets in what passes through it. The handlers of slog write
// each record at once, so no secret is cut in two.
type redactor struct {
	to      io.Writer
	secrets *strings.Replacer
	token   *regexp.Regexp
	address *regexp.Regexp
}

func newRedactor(w io.Writer, secrets []string) redactor {
	var forms []string
	for _, s := range secrets {
		quoted := strconv.Quote(s)
		forms = append(forms, s, quoted[1:len(quoted)-1]) // as both formats write quotes and backslashes
	}
	slices.SortFunc(forms, func(a, b string) int { return len(b) - len(a) }) // one may begin another
	pairs := make([]string, 0, 2*len(forms))
	for _, f := range forms {
		pairs = append(pairs, f, "***")
	}
	return redactor{w, strings.NewReplacer(pairs...), regexp.MustCompile(tokenShape), regexp.MustCompile(addressShape)}
}

// Write passes p on without secrets.
func (r redactor) Write(p []byte) (int, error) {
	clean := r.token.ReplaceAllString(r.secrets.Replace(string(p)), "***")
	clean = r.address.ReplaceAllString(clean, "$1/***")
	if _, err := io.WriteString(r.to, clean); err != nil {
		return 0, err
	}
	return len(p), nil
}
