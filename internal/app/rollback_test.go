package app_test

import (
	"testing"

	"kiosk/internal/app/apptest"
	"kiosk/internal/pg/pgtest"
	"kiosk/internal/simulator/telegramsim"
)

// A deploy that went wrong is rolled back by deploying the version before, on the
// schema of the newer one.
func TestRollback_TheOlderProgramServesOnTheNewerSchema(t *testing.T) {
	t.Parallel()
	w := apptest.New(t)
	pool := pgtest.Pool(t, w.Database)
	for _, sql := range []string{
		"ALTER TABLE inbox_messages ADD COLUMN of_a_later_version text NOT NULL DEFAULT 'x'",
		"INSERT INTO migration_history (number, file, sha256, duration_ms, version) VALUES (9999, '9999_later.sql', 'x', 1, 'v9')",
	} {
		if _, err := pool.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	w.Start(quick, nil)
	person := w.Person("Ada", "en")
	person.Order("Pictures", "Z-Image", "a lighthouse")
	person.Wait("the picture", func(m telegramsim.Message) bool { return len(m.Photo) > 0 })
}
