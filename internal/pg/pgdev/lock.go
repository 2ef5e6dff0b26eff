package pgdev

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

var errLocked = errors.New("locked by another process")

// fileLock is a lock on a file that the kernel releases when the process dies.
type fileLock struct{ f *os.File }

// tryLock locks the file, which it makes if it is missing; how is unix.LOCK_EX
// or unix.LOCK_SH. If somebody else holds it, the error is errLocked.
func tryLock(path string, how int) (*fileLock, error) {
	for {
		l, err := lockOnce(path, os.O_RDWR|os.O_CREATE, how)
		if !errors.Is(err, os.ErrNotExist) {
			return l, err
		}
		if _, err := os.Stat(filepath.Dir(path)); err != nil {
			return nil, fmt.Errorf("lock %s: %w", path, err)
		}
	}
}

// lockOnce is tryLock without a retry: os.ErrNotExist says that the file is
// not there, or was removed while it was being locked.
func lockOnce(path string, flag, how int) (*fileLock, error) {
	f, err := os.OpenFile(path, flag|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock: %w", err)
	}
	l := &fileLock{f}
	if err := unix.Flock(int(f.Fd()), how|unix.LOCK_NB); err != nil {
		f.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			err = errLocked
		}
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	if !l.current() {
		l.release()
		return nil, fmt.Errorf("lock %s: removed meanwhile: %w", path, os.ErrNotExist)
	}
	return l, nil
}

// waitLock is tryLock that waits for the other holder.
func waitLock(ctx context.Context, path string, how int) (*fileLock, error) {
	for {
		l, err := tryLock(path, how)
		if !errors.Is(err, errLocked) {
			return l, err
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("%w: %w", err, context.Cause(ctx))
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// current reports whether the locked file is the one that its path names: the
// holder before may have removed it after we opened it.
func (l *fileLock) current() bool {
	mine, err := l.f.Stat()
	if err != nil {
		return false
	}
	named, err := os.Lstat(l.path())
	return err == nil && os.SameFile(mine, named)
}

func (l *fileLock) path() string { return l.f.Name() }

func (l *fileLock) release() {
	// Closing is not enough: a child that is between fork and exec shares the
	// lock until it has closed its copy.
	unix.Flock(int(l.f.Fd()), unix.LOCK_UN)
	l.f.Close()
}

// write replaces the content of the locked file.
func (l *fileLock) write(text string) error {
	if err := l.f.Truncate(0); err != nil {
		return err
	}
	_, err := l.f.WriteAt([]byte(text+"\n"), 0)
	return err
}
