package app

import (
	"os"
	"runtime/debug"
)

// gcPercent lets the heap grow to five times of what is in use. That is little
// here, so Go's own 100 would collect hundreds of times a second under load.
const gcPercent = 400

// TuneGC makes garbage collections rarer, unless the environment says how often
// they shall be (GOGC). A limit on memory (GOMEMLIMIT) has the last word.
func TuneGC() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
}
