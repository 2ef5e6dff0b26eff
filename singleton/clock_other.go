//go:build !linux

package singleton

// bootTime is the best clock there is without system calls of one's own. Where
// it stands still during suspension, the fence alone protects.
func bootTime() instant { return monotonic() }
