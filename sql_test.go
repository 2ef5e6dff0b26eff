package kiosk_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"kiosk/internal/pg/pgtest"
)

// Every statement of the program is prepared against the real schema: a function
// or column with another signature fails here and not in production.
func TestSQL_EveryStatementPrepares(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("*/sql/*.sql")
	if err != nil {
		t.Fatal(err)
	}
	inner, err := filepath.Glob("internal/*/sql/*.sql")
	if err != nil {
		t.Fatal(err)
	}
	files = append(files, inner...)
	if len(files) < 60 {
		t.Fatalf("found %d statements; does the pattern still fit?", len(files))
	}
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, pgtest.URL(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(ctx) })
	for _, f := range files {
		raw, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasPrefix(f, "singleton/sql/schema_") && f != "singleton/sql/schema_version.sql" && f != "singleton/sql/schema_applied.sql" { // scripts of many statements; pgtest has run them
			continue
		}
		if _, err := conn.Prepare(ctx, "", strings.TrimSpace(string(raw))); err != nil {
			t.Errorf("%s: %v", f, err)
		}
	}
	t.Logf("%d statements prepared", len(files)-1)
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
