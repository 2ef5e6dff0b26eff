//go:build linux || darwin

package smoke

import "golang.org/x/sys/unix"

// freeBytes returns what an ordinary program may still write to the disk of folder.
func freeBytes(folder string) (uint64, bool) {
	var s unix.Statfs_t
	if err := unix.Statfs(folder, &s); err != nil {
		return 0, false
	}
	return s.Bavail * uint64(s.Bsize), true //nolint:gosec // a block size is positive
}
