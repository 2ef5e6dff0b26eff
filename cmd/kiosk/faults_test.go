package main

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"kiosk/internal/smoke"
)

// With -update the test writes the page that it otherwise compares.
const (
	faultsPage  = "../../docs/faults.md"
	troublePage = "../../docs/troubleshooting.md"
)

// fault is one thing that is broken, and where it must show.
type fault struct {
	name  string
	cause string
	how   func(*scene)

	fresh  bool     // no instance is started before
	health string   // wait until /health says it; or the note why it cannot
	log    string   // message of the line that names it; or the note
	part   string   // which that line has
	alert  string   // of the chat and of Prometheus; or the note
	alone  string   // of Prometheus only, with the note why
	checks []string // of smoke, that are made besides the usual ones
	fine   bool     // smoke has nothing to say
	beside string   // the note beside an answer of /health that knows nothing
	see    string   // anchor to read where neither smoke nor an alert has one
	metric string   // line of /metrics on which the rule of Prometheus rests
	ends   bool     // `kiosk serve` ends, and its words are the log
	after  func(*scene)
}

// The notes: why a column has nothing.
const (
	noteEnded    = "¹"
	noteOutside  = "²"
	noteChat     = "³"
	noteSilent   = "⁴"
	noteHarmless = "⁵"
	noteReads    = "⁶"
	noteOne      = "⁷"
	noteApart    = "⁸"
)

const footnotes = `
¹ No instance runs, so there is no page to ask and nobody who could alarm; Prometheus has KioskNobodyActive unless another instance is ACTIVE.
² ` + "`/health`" + ` asks nobody outside the database: a page that waits for Telegram would be down with it.
³ The way into the chat is what is broken. Prometheus has the alert at once, and the log an ` + "`alert`" + ` line where an instance is ACTIVE; the chat says it once it can be reached.
⁴ The process stands still: it answers nobody and writes nothing.
⁵ Nothing is lost or late by it, so nobody is woken: smoke is where to look before and after a deploy.
⁶ ` + "`/health`" + ` reads and writes nothing: that writes fail is seen by the 503 that Telegram gets.
⁷ One takeover is what a standby is for; KioskTakeovers is said from the second within an hour.
⁸ Each instance sees its own database only, in which all is well. Only who looks at both can know: Prometheus, and smoke.
`

// observed is a line of the table.
type observed struct {
	health, smoke, log, alert string
	read                      []string // anchors
	texts                     []string // of smoke
}

// Each of these is broken in a deployment of its own, and nobody has to guess:
// the page says what every place shows, and no two faults have the same line of
// smoke.
func TestFaults_EachIsNamedInEveryPlace(t *testing.T) {
	t.Parallel()
	list := faults()
	rows := make([]observed, len(list))
	t.Run("all", func(t *testing.T) {
		for i, f := range list {
			t.Run(f.name, func(t *testing.T) {
				t.Parallel()
				rows[i] = f.observe(t)
				t.Logf("%+v", rows[i])
			})
		}
	})
	if t.Failed() {
		return
	}
	if slices.ContainsFunc(rows, func(r observed) bool { return r.health == "" }) {
		t.Log("some faults were not asked for: the page is not compared")
		return
	}
	apart(t, list, rows)
	anchored(t, rows)
	if !t.Failed() {
		compare(t, page(list, rows))
	}
}

// apart refuses faults that share a line of smoke.
func apart(t *testing.T, list []fault, rows []observed) {
	t.Helper()
	said := map[string]string{}
	for i, r := range rows {
		for _, text := range r.texts {
			if other, twice := said[text]; twice {
				t.Errorf("smoke says %q of %q and of %q", text, other, list[i].name)
			}
			said[text] = list[i].name
		}
		if len(r.texts) > 1 || len(r.texts) == 0 && !list[i].fine {
			t.Errorf("%s: smoke has %d lines, want one: %q", list[i].name, len(r.texts), r.texts)
		}
	}
}

// anchored refuses anchors that the page of remedies does not have.
func anchored(t *testing.T, rows []observed) {
	t.Helper()
	remedies := read(t, troublePage)
	for _, r := range rows {
		for _, anchor := range r.read {
			if !hasAnchor(remedies, anchor) {
				t.Errorf("docs/troubleshooting.md has no %q", anchor)
			}
		}
	}
}

func read(t *testing.T, file string) string {
	t.Helper()
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

func compare(t *testing.T, want string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(faultsPage, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	have := strings.Split(read(t, faultsPage), "\n")
	for i, line := range strings.Split(want, "\n") {
		if i >= len(have) || have[i] != line {
			t.Errorf("docs/faults.md, line %d; if this is right, run go test ./cmd/kiosk -run TestFaults -update:\n%s", i+1, line)
		}
	}
}

// observe breaks a deployment and looks everywhere.
func (f fault) observe(t *testing.T) observed {
	s := newScene(t)
	switch {
	case f.ends:
		s.ran()
	case !f.fresh:
		s.run()
	}
	mark := s.log.len()
	f.how(s)
	o := observed{health: f.health, log: f.log, alert: f.alert}
	f.alarm(s, mark, &o)
	switch {
	case f.ends:
		o.log = ending(s)
		o.read = append(o.read, endingAnchor(t, o.log))
	case f.log != "" && !isNote(f.log):
		until(t, "the log says "+f.log, func() bool { o.log = s.logged(mark, f.log, f.part); return o.log != "" })
	}
	if !isNote(f.health) {
		until(t, "/health says "+f.health, func() bool { o.health = s.ask(); return o.health != "" && strings.Contains(o.health, f.health) })
	}
	if f.metric != "" {
		s.shows(f.metric)
	}
	o.health = strings.TrimSpace(o.health + " " + f.beside)
	if f.see != "" {
		o.read = append(o.read, f.see)
	}
	for _, r := range s.smoke(f.checks) {
		cause := masked(r.Cause)
		o.texts = append(o.texts, cause)
		o.smoke += fmt.Sprintf("%s `%s`: %s\n", r.Status, r.Check, cause)
		o.read = append(o.read, smoke.Anchor(cause))
	}
	for _, heal := range s.heal {
		heal()
	}
	if f.after != nil {
		f.after(s)
	}
	return o
}

// alarm waits for the alert where it can be seen.
func (f fault) alarm(s *scene, mark int, o *observed) {
	switch {
	case f.alone != "":
		o.alert = "Prometheus: " + f.alone + " " + f.alert
		o.read = append(o.read, strings.ToLower(f.alone))
	case !isNote(f.alert):
		text := plainText(s.boss.WaitText("🔴", f.alert).Text)
		title, _, _ := strings.Cut(text, "\n")
		o.alert = title + " (" + f.alert + ")"
		o.read = append(o.read, strings.ToLower(f.alert))
	}
	if name := f.alone; name != "" && name != "KioskNobodyActive" && name != "KioskTwoActive" {
		until(s.t, "the log has the alert", func() bool { return s.logged(mark, "alert", name) != "" })
	}
}

func plainText(s string) string { return strings.ReplaceAll(s, "\u00a0", " ") }

func isNote(s string) bool { return s != "" && strings.Trim(s, "¹²³⁴⁵⁶⁷⁸—") == "" }

// ending runs an instance that must refuse to start.
func ending(s *scene) string {
	_, stderr, code := kiosk(s.t, s.settings(), "serve")
	i := strings.Index(stderr, "kiosk: ")
	if i < 0 {
		s.t.Fatalf("the process said nothing: %d %s", code, stderr)
	}
	return fmt.Sprintf("%s\nexit code %d", masked(stderr[i:]), code)
}

// endingAnchor finds the line of the page that explains what a process ends with.
func endingAnchor(t *testing.T, text string) string {
	t.Helper()
	for _, m := range regexp.MustCompile(`(?m)^\| <a id="(ends-[^"]+)"></a>(.+?) \|`).FindAllStringSubmatch(read(t, troublePage), -1) {
		parts := strings.Split(regexp.QuoteMeta(m[2]), "…")
		if regexp.MustCompile(`(?s)` + strings.Join(parts, ".*")).MatchString(text) {
			return m[1]
		}
	}
	t.Errorf("docs/troubleshooting.md does not explain %q", text)
	return ""
}

func page(list []fault, rows []observed) string {
	var b strings.Builder
	b.WriteString("# What is said when something is broken\n\n" +
		"Made by `TestFaults_EachIsNamedInEveryPlace` (cmd/kiosk), which breaks a deployment in each of these ways and looks everywhere. What differs from run to run is\n" +
		"masked. The last column leads to cause and remedy. Alerts have the same name in Prometheus. Of smoke, only lines that are not fine are shown.\n\n" +
		"| broken | `/health` | `kiosk smoke` | log | alert | read |\n|---|---|---|---|---|---|\n")
	for i, f := range list {
		r := rows[i]
		var links []string
		for _, anchor := range r.read {
			links = append(links, fmt.Sprintf("[%s](troubleshooting.md#%s)", strings.TrimPrefix(anchor, "smoke-"), anchor))
		}
		says := r.smoke
		if says == "" {
			says = "all fine " + noteOne
		}
		fmt.Fprintf(&b, "| **%s**: %s | %s | %s | %s | %s | %s |\n", f.name, f.cause, cell(r.health), cell(says), cell(masked(r.log)), cell(r.alert), strings.Join(links, "<br>"))
	}
	b.WriteString(footnotes)
	return b.String()
}

// cell fits a text into a table.
func cell(s string) string {
	if isNote(s) && !strings.HasPrefix(s, "—") {
		s = "— " + s
	}
	s = strings.ReplaceAll(strings.TrimSpace(s), "|", `\|`)
	return strings.ReplaceAll(s, "\n", "<br>")
}
