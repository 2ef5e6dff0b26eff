package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"kiosk/internal/admin"
	"kiosk/internal/console"
)

// advising are the files whose errors end in what an operator does next. `dev` is
// for developers.
func advising(t *testing.T) []string {
	t.Helper()
	var list []string
	for _, pattern := range []string{"*.go", "../../internal/app/*.go", "../../internal/pg/*.go", "../../singleton/*.go"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			if !strings.HasSuffix(f, "_test.go") && f != "dev.go" {
				list = append(list, f)
			}
		}
	}
	return list
}

// Whoever reads an error finds it, word by word, on the page of remedies.
func TestTrouble_EveryErrorForOperatorsIsExplained(t *testing.T) {
	t.Parallel()
	known := read(t, troublePage)
	texts := 0
	for _, file := range advising(t) {
		for _, text := range advice(t, file) {
			texts++
			if !strings.Contains(known, text) {
				t.Errorf("docs/troubleshooting.md, \"What a command ends with\", lacks (%s):\n%s", file, text)
			}
		}
	}
	if texts < 40 {
		t.Errorf("only %d texts were found", texts)
	}
	for _, why := range []console.Reason{console.DatabaseDown, console.NotReadable, console.LockTrouble, console.OtherSchema, console.OrdersStuck, console.BooksWrong} {
		if !strings.Contains(known, "| "+string(why)+" |") {
			t.Errorf("docs/troubleshooting.md, \"What /health says\", lacks %q", why)
		}
	}
}

// What the other pages link to is there, and no alert leaves the one on call alone.
func TestPlaybook_LinksAndAlertsAreComplete(t *testing.T) {
	t.Parallel()
	playbook, remedies := read(t, "../../docs/playbook.md"), read(t, troublePage)
	for _, m := range regexp.MustCompile(`\(([a-z]*\.md)?#([a-z0-9-]+)\)`).FindAllStringSubmatch(playbook, -1) {
		page := playbook
		if m[1] != "" {
			page = read(t, "../../docs/"+m[1])
		}
		if !hasAnchor(page, m[2]) {
			t.Errorf("the playbook links to %s#%s, which is not there", m[1], m[2])
		}
	}
	for _, m := range regexp.MustCompile(`\(playbook\.md#([a-z0-9-]+)\)`).FindAllStringSubmatch(remedies, -1) {
		if !hasAnchor(playbook, m[1]) {
			t.Errorf("the playbook has no %q", m[1])
		}
	}
	for _, c := range admin.Conditions() {
		if !strings.Contains(playbook, "["+c.ID+"]") {
			t.Errorf("the playbook says nothing of %s", c.ID)
		}
	}
}

// hasAnchor finds an explicit anchor, or a heading by its words.
func hasAnchor(page, anchor string) bool {
	if strings.Contains(page, `<a id="`+anchor+`">`) {
		return true
	}
	for _, h := range regexp.MustCompile(`(?m)^#+ (.+)$`).FindAllStringSubmatch(page, -1) {
		words := regexp.MustCompile(`[^a-z0-9 -]`).ReplaceAllString(strings.ToLower(h[1]), "")
		if strings.ReplaceAll(words, " ", "-") == anchor {
			return true
		}
	}
	return false
}

// advice returns the texts of a file that say what to do next: those of errors with
// a semicolon, remedies, and mistakes in settings.
func advice(t *testing.T, file string) []string {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	add := func(e ast.Expr, always bool) {
		lit, ok := e.(*ast.BasicLit)
		if !ok || lit.Kind != token.STRING {
			return
		}
		text, err := strconv.Unquote(lit.Value)
		if err != nil {
			t.Fatal(err)
		}
		if text = withoutVerbs(text); always && text != "…" || strings.Contains(text, "; ") || strings.HasPrefix(text, "want ") {
			list = append(list, text)
		}
	}
	ast.Inspect(f, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.CallExpr:
			if name := called(n); len(n.Args) > 0 && (name == "Errorf" || name == "New" || name == "Sprintf") {
				add(n.Args[0], false)
			} else if name == "add" && len(n.Args) > 1 {
				add(n.Args[1], true)
			}
		case *ast.KeyValueExpr:
			if key, ok := n.Key.(*ast.Ident); ok && key.Name == "Remedy" {
				add(n.Value, true)
			}
		case *ast.CompositeLit:
			if kind, ok := n.Type.(*ast.Ident); ok && kind.Name == "Problem" && len(n.Elts) == 2 {
				add(n.Elts[1], true)
			}
		}
		return true
	})
	return list
}

func called(c *ast.CallExpr) string {
	switch f := c.Fun.(type) {
	case *ast.SelectorExpr:
		return f.Sel.Name
	case *ast.Ident:
		return f.Name
	}
	return ""
}

// withoutVerbs shows where a value stands. A cause that is wrapped at the beginning
// is not part of the text.
func withoutVerbs(s string) string {
	s = regexp.MustCompile(`%[-+#0-9.]*[a-z]`).ReplaceAllString(s, "…")
	s = strings.TrimPrefix(s, "…; ")
	return strings.TrimSpace(s)
}
