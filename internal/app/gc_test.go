package app_test

import (
	"runtime/debug"
	"testing"

	"kiosk/internal/app"
)

func TestTuneGC_TheEnvironmentHasTheLastWord(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(70))
	t.Setenv("GOGC", "70")
	app.TuneGC()
	if got := debug.SetGCPercent(70); got != 70 {
		t.Errorf("collections at %d %%, want those of GOGC", got)
	}
	t.Setenv("GOGC", "")
	app.TuneGC()
	if got := debug.SetGCPercent(70); got != 400 {
		t.Errorf("collections at %d %%, want 400", got)
	}
}
