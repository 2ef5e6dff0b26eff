package kiosk_test

import (
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"kiosk"
	"kiosk/internal/pg/pgtest"
)

// Every statement of the program is prepared against the real schema: a function
// or column with another signature fails here and not in production. `kiosk smoke`
// prepares the same list against a live database.
func TestSQL_EveryStatementPrepares(t *testing.T) {
	t.Parallel()
	list, err := kiosk.Statements()
	if err != nil {
		t.Fatal(err)
	}
	if len(list) < 60 {
		t.Fatalf("found %d statements; does the list still embed them?", len(list))
	}
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, pgtest.URL(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(ctx) })
	for _, s := range list {
		if _, err := conn.Prepare(ctx, "", s.SQL); err != nil {
			t.Errorf("%s: %v", s.File, err)
		}
	}
	t.Logf("%d statements prepared", len(list))
}

// What is not in the list is prepared by nobody. Only scripts may be missing: the
// migrations, and those of the lock's schema.
func TestSQL_TheListHasEveryFile(t *testing.T) {
	t.Parallel()
	list, err := kiosk.Statements()
	if err != nil {
		t.Fatal(err)
	}
	listed := map[string]bool{}
	for _, s := range list {
		listed[s.File] = true
	}
	script := regexp.MustCompile(`^internal/pg/migrations/|^singleton/sql/schema_\d\.sql$`)
	err = filepath.WalkDir(".", func(p string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() && (strings.HasPrefix(d.Name(), ".") && p != "." || hasOwnModule(p)) {
			return filepath.SkipDir
		}
		if p = filepath.ToSlash(p); strings.HasSuffix(p, ".sql") && listed[p] == script.MatchString(p) {
			t.Errorf("%s: listed %t, a script %t; one statement a file, in singleton/sql or internal/ROOM/sql", p, listed[p], script.MatchString(p))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// An embedded statement that nobody names is dead; a named one that is missing
// does not compile.
func TestSQL_EveryStatementIsUsed(t *testing.T) {
	t.Parallel()
	text := ""
	for _, s := range sources(t) {
		raw, err := os.ReadFile(s.file)
		if err != nil {
			t.Fatal(err)
		}
		text += string(raw)
	}
	for _, pattern := range []string{"singleton/sql/*.sql", "internal/*/sql/*.sql"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			if !strings.Contains(text, "//go:embed sql/"+filepath.Base(f)+"\n") {
				t.Errorf("%s is embedded by nobody", f)
			}
		}
	}
}

func TestMain(m *testing.M) { os.Exit(pgtest.Run(m)) }
