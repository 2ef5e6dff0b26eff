// Package kiosk_test enforces the plan of the house: which room may import
// which, one package comment per package, and SQL in .sql files only.
package kiosk_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "kiosk/"

// arrows lists what each room may import of ours. What is not listed is
// forbidden. The first matching prefix counts.
func arrows() []struct{ room, may string } {
	return []struct{ room, may string }{
		{"singleton", ""},
		{"internal/fault", ""},
		{"internal/trace", ""},
		{"internal/lane", "internal/trace"},
		{"internal/sweep/sweeptest", "singleton internal/sweep internal/pg/pgtest"},
		{"internal/sweep", "singleton"},
		{"internal/telegram", ""},
		{"internal/pg/pgtest", "singleton internal/pg internal/pg/pgdev"},
		{"internal/pg/pgdev", ""},
		{"internal/pg", ""},
		{"internal/catalog", "internal/fault"},
		{"internal/provider/kie", "internal/provider internal/fault internal/catalog"},
		{"internal/provider", "internal/fault internal/catalog"},
		{"internal/ledger", "internal/fault internal/pg internal/sweep"},
		{"internal/admin", "internal/fault internal/pg"},
		{"internal/inbox", "internal/fault internal/pg internal/sweep internal/trace internal/lane singleton"},
		{"internal/outbox", "internal/fault internal/pg internal/sweep internal/trace internal/lane singleton internal/telegram"},
		{"internal/generation", "internal/fault internal/pg internal/sweep internal/trace internal/lane singleton internal/catalog internal/provider internal/ledger internal/inbox internal/outbox"},
		{"internal/bot", "internal/fault internal/pg internal/sweep singleton internal/telegram internal/catalog internal/generation internal/ledger internal/inbox internal/outbox internal/admin"},
		{"internal/console", "internal/fault internal/pg singleton internal/catalog internal/generation internal/ledger internal/inbox internal/outbox"},
		{"internal/smoke", ". internal/fault internal/pg internal/lane singleton internal/telegram internal/catalog internal/provider internal/provider/kie internal/ledger internal/inbox internal/outbox internal/generation internal/bot internal/admin internal/console"},
		{"internal/simulator", ""},
		{".", ""}, // the list of all SQL
		{"internal/app", "*"},
		{"cmd", "*"},
	}
}

// source is one Go file of ours.
type source struct {
	dir, file string
	test      bool
	ast       *ast.File
}

func sources(t *testing.T) []source {
	t.Helper()
	var list []source
	err := filepath.WalkDir(".", func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (strings.HasPrefix(d.Name(), ".") && p != "." || d.Name() == "testdata" || hasOwnModule(p)) {
			return filepath.SkipDir
		}
		if !strings.HasSuffix(p, ".go") {
			return nil
		}
		f, err := parser.ParseFile(token.NewFileSet(), p, nil, parser.ParseComments)
		if err != nil {
			return err
		}
		list = append(list, source{filepath.ToSlash(filepath.Dir(p)), p, strings.HasSuffix(p, "_test.go"), f})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func hasOwnModule(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, "go.mod"))
	return dir != "." && err == nil
}

func TestHouse_ArrowsPointDownward(t *testing.T) {
	t.Parallel()
	checked := 0
	for _, s := range sources(t) {
		if s.test {
			continue
		}
		for _, imp := range s.ast.Imports {
			target, err := strconv.Unquote(imp.Path.Value)
			if err != nil {
				t.Fatal(err)
			}
			if target == strings.TrimSuffix(module, "/") {
				target = module + "."
			}
			if room, ours := strings.CutPrefix(target, module); ours {
				checked++
				if !allowed(s.dir, room) {
					t.Errorf("%s imports %s: no arrow allows it (see ARCHITECTURE.md)", s.file, room)
				}
			}
		}
	}
	if checked < 50 {
		t.Fatalf("only %d imports were looked at; does the walk still find the sources?", checked)
	}
}

func allowed(dir, target string) bool {
	for _, a := range arrows() {
		if dir == a.room || strings.HasPrefix(dir, a.room+"/") {
			return a.may == "*" || slices.Contains(strings.Fields(a.may), target) || strings.HasPrefix(target, dir+"/")
		}
	}
	return false // a new room needs a line in the plan
}

func TestHouse_EveryPackageHasOneComment(t *testing.T) {
	t.Parallel()
	comments := map[string]int{}
	for _, s := range sources(t) {
		if s.test {
			continue
		}
		if s.ast.Doc != nil && len(s.ast.Doc.Text()) > 60 {
			comments[s.dir]++
		} else {
			comments[s.dir] += 0
		}
	}
	for dir, n := range comments {
		if n != 1 {
			t.Errorf("%s has %d package comments, want exactly one", dir, n)
		}
	}
}

// sqlInGo matches statements in string literals. Rooms keep SQL in .sql files,
// so that one test can prepare all of it.
const sqlInGo = `(?i)^\s*(SELECT\s.+\sFROM|INSERT\s+INTO|UPDATE\s+\w+\s+SET|DELETE\s+FROM|WITH\s+\w+\s+AS|LISTEN\s+\w)`

func TestHouse_SQLLivesInFiles(t *testing.T) {
	t.Parallel()
	statement := regexp.MustCompile(sqlInGo)
	for _, s := range sources(t) {
		if s.test || !strings.HasPrefix(s.dir, "internal/") && s.dir != "singleton" || strings.HasPrefix(s.dir, "internal/pg/pg") {
			continue
		}
		ast.Inspect(s.ast, func(n ast.Node) bool {
			lit, ok := n.(*ast.BasicLit)
			if !ok || lit.Kind != token.STRING {
				return true
			}
			if text, err := strconv.Unquote(lit.Value); err == nil && statement.MatchString(text) {
				t.Errorf("%s holds SQL in a string literal: %.60q; move it to %s/sql/", s.file, text, path.Base(s.dir))
			}
			return true
		})
	}
}

func TestHouse_FilesAndMainStayShort(t *testing.T) {
	t.Parallel()
	for _, s := range sources(t) {
		raw, err := os.ReadFile(s.file)
		if err != nil {
			t.Fatal(err)
		}
		lines, limit := strings.Count(string(raw), "\n"), 500
		if s.file == "cmd/kiosk/main.go" {
			limit = 40
		}
		if lines > limit {
			t.Errorf("%s has %d lines, the limit is %d", s.file, lines, limit)
		}
	}
}
