package acceptance_test

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"kiosk/internal/pg/pgtest"
)

// program is the path of tg-mock in the build cache.
var program string

func TestMain(m *testing.M) {
	var err error
	if program, err = build(); err != nil {
		fmt.Fprintf(os.Stderr, "build tg-mock: %v\n", err)
		os.Exit(1)
	}
	os.Exit(pgtest.Run(m))
}

// build makes the tool of this module, unless the build cache has it, and
// returns where it is. Run by its own path it is one process, which a test can
// end; `go tool` would be a second one around it.
func build() (string, error) {
	cmd := exec.Command("go", "tool", "-n", "tg-mock")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	return strings.TrimSpace(string(out)), err
}
