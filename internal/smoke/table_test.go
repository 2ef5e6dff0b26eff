package smoke_test

import (
	"regexp"
	"strings"
	"testing"

	"kiosk/internal/smoke"
)

func report() smoke.Report {
	return smoke.Report{Millis: 1234, Checks: []smoke.Result{
		{Check: "settings", Status: smoke.Pass, Millis: 1, Found: "all valid"},
		{Check: "lock database", Status: smoke.Warn, Millis: 20, Cause: "a pooler", Remedy: "name the direct address"},
		{Check: "kie key", Status: smoke.Fail, Millis: 300, Cause: "KIE says\nno", Remedy: "make a key"},
		{Check: "kie credits", Status: smoke.Skipped, Cause: `waits for the check "kie key"`},
	}}
}

func printed(t *testing.T, colour bool) string {
	t.Helper()
	var b strings.Builder
	if err := report().Print(&b, colour); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestPrint_OneLineACheckAndItsRemedyBelow(t *testing.T) {
	t.Parallel()
	want := `CHECK          RESULT   TIME   WHAT
settings       pass     1ms    all valid
lock database  warn     20ms   a pooler
                               → name the direct address
kie key        fail     300ms  KIE says
                               no
                               → make a key
kie credits    skipped  -      waits for the check "kie key"

1 passed, 1 warning, 1 failed, 1 skipped, in 1.2 s
`
	if got := printed(t, false); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// Colours are added after the alignment, and to the results and remedies only.
func TestPrint_ColoursChangeNoColumn(t *testing.T) {
	t.Parallel()
	coloured := printed(t, true)
	if plain := regexp.MustCompile(`\x1b\[[0-9;]*m`).ReplaceAllString(coloured, ""); plain != printed(t, false) {
		t.Errorf("without its colours the table is\n%s", plain)
	}
	for _, part := range []string{"\x1b[32mpass\x1b[0m", "\x1b[33mwarn\x1b[0m", "\x1b[1;31mfail\x1b[0m", "\x1b[2mskipped\x1b[0m"} {
		if strings.Count(coloured, part) != 1 {
			t.Errorf("%q does not stand once in %q", part, coloured)
		}
	}
}
