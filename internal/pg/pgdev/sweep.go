package pgdev

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	keptLife = 24 * time.Hour
	keptMost = 5 // folders; they lie in memory
)

// Sweep removes what killed processes of this user left: their ephemeral
// servers, if one still runs, and their folders. Folders that were kept stay
// for a day, the newest five of them. Start calls it; call it alone to clean
// up without starting anything. Failures are logged, the next sweep tries again.
func Sweep(log *slog.Logger) {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	var kept []leftover
	for _, base := range sweepBases() {
		for _, dir := range serverFolders(base) {
			l, ok := claim(dir)
			switch {
			case !ok:
			case l.keptAt.IsZero():
				l.remove(log)
			default:
				kept = append(kept, l)
			}
		}
	}
	slices.SortFunc(kept, func(a, b leftover) int { return b.keptAt.Compare(a.keptAt) })
	for i, l := range kept {
		if i < keptMost && time.Since(l.keptAt) < keptLife {
			l.lock.release()
			continue
		}
		l.remove(log)
	}
}

// leftover is a server folder whose process is gone; we hold its lock.
type leftover struct {
	dir    string
	lock   *fileLock
	keptAt time.Time // zero: not kept
}

func sweepBases() []string {
	var bases []string
	for _, dir := range []string{fastFolder, os.TempDir(), "/tmp"} {
		if resolved, err := filepath.EvalSymlinks(dir); err == nil && dir != "" && !slices.Contains(bases, resolved) {
			bases = append(bases, resolved)
		}
	}
	return bases
}

// serverFolders lists the server folders, by their locks, that this user
// made in the base, used or not.
func serverFolders(base string) []string {
	locks, _ := filepath.Glob(filepath.Join(base, folderPrefix+"*"+lockSuffix)) // only a bad pattern is an error
	var dirs []string
	for _, path := range locks {
		info, err := os.Lstat(path)
		if err != nil || !info.Mode().IsRegular() {
			continue
		}
		if owner, ok := ownerOf(info); ok && owner == uint32(os.Geteuid()) {
			dirs = append(dirs, strings.TrimSuffix(path, lockSuffix))
		}
	}
	return dirs
}

// claim takes the lock of a server folder; false says that it is in use.
func claim(dir string) (leftover, bool) {
	lock, err := lockOnce(dir+lockSuffix, os.O_RDWR, unix.LOCK_EX)
	if err != nil {
		return leftover{}, false
	}
	l := leftover{dir: dir, lock: lock}
	if info, err := os.Lstat(filepath.Join(dir, keptName)); err == nil {
		l.keptAt = info.ModTime()
	}
	return l, true
}

// remove ends the server if it still runs, removes the folder and its lock, and
// lets go of the lock.
func (l leftover) remove(log *slog.Logger) {
	defer l.lock.release()
	if err := l.removeAll(); err != nil {
		log.Warn("cannot remove what a killed process left", "dir", l.dir, "error", err)
		return
	}
	log.Debug("removed what a killed process left", "dir", l.dir)
}

func (l leftover) removeAll() error {
	_, err := endStranger(filepath.Join(l.dir, dataName),
		step{syscall.SIGQUIT, quitLimit}, step{syscall.SIGKILL, quitLimit})
	if err != nil {
		return err
	}
	if err := removeFolder(l.dir); err != nil {
		return fmt.Errorf("remove the folder: %w", err)
	}
	return os.Remove(l.lock.path())
}
