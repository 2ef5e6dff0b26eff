package wire

import (
	"regexp"
	"strings"
	"sync"
)

// reader tells from a statement's text what it changes. It knows statements as
// programs write them, not all of SQL: what it takes for a change too many is
// one more point, and harmless.
type reader struct {
	writers *regexp.Regexp // calls of functions that change something, or nil
	known   sync.Map       // changes by statement: a program repeats its few for ever
}

func newReader(writers []string) *reader {
	if len(writers) == 0 {
		return &reader{}
	}
	names := make([]string, len(writers))
	for i, w := range writers {
		names[i] = regexp.QuoteMeta(w)
	}
	return &reader{writers: regexp.MustCompile(`\b(` + strings.Join(names, "|") + `) ?\(`)}
}

var (
	comment = regexp.MustCompile(`--[^\n]*|(?s:/\*.*?\*/)`)
	space   = regexp.MustCompile(`\s+`)
	changed = regexp.MustCompile(`(?i)\b(?:` +
		`(INSERT|MERGE) INTO (\w+)|(DELETE) FROM (\w+)|(TRUNCATE)(?: TABLE)? (\w+)|` +
		`(UPDATE) (\w+)(?: (?:AS )?\w+)? SET (\w+ = (?:'\w*'|\$\d+|\w+))?)`)
)

// changes lists what a statement changes, in its own words: verb, table and, of
// an update, the first assignment, which tells a claim from a settlement.
func (r *reader) changes(sql string) []string {
	if list, ok := r.known.Load(sql); ok {
		return list.([]string)
	}
	list := r.read(sql)
	r.known.Store(sql, list)
	return list
}

func (r *reader) read(sql string) []string {
	sql = space.ReplaceAllString(comment.ReplaceAllString(sql, " "), " ")
	var list []string
	for _, m := range changed.FindAllStringSubmatch(sql, -1) {
		var words []string
		for _, word := range m[1:] {
			if word != "" {
				words = append(words, word)
			}
		}
		list = append(list, strings.Join(words, " "))
	}
	if r.writers != nil {
		for _, m := range r.writers.FindAllStringSubmatch(sql, -1) {
			list = append(list, m[1]+"()")
		}
	}
	return list
}

// verb returns a statement's first word in small letters. COMMIT PREPARED and
// ROLLBACK TO end no transaction and are not their first word.
func verb(sql string) string {
	words := strings.Fields(strings.ToLower(strings.TrimRight(comment.ReplaceAllString(sql, " "), "; \n\t")))
	switch {
	case len(words) == 0:
		return ""
	case len(words) > 1 && (words[1] == "prepared" || words[1] == "to"):
		return strings.Join(words[:2], " ")
	}
	return words[0]
}
