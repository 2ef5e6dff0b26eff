package singleton_test

import (
	"testing"

	"go.uber.org/goleak"

	"kiosk/internal/pg/pgtest"
)

// served runs the tests with a server, and lets it stop before goleak looks.
type served struct{ *testing.M }

func (s served) Run() int { return pgtest.Run(s.M) }

// TestMain fails the package if an elector, a watcher or a heartbeat goes on
// after the tests.
func TestMain(m *testing.M) { goleak.VerifyTestMain(served{m}) }
