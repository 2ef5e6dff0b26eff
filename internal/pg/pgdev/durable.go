package pgdev

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

const (
	durableLock = "lock"
	newDataName = "pgdata.new"
)

// DefaultDir returns the folder for a durable server when the operator names
// none: in the user's own data folder, or, as root, a system folder that the
// account which runs the server can enter.
func DefaultDir() (string, error) {
	if os.Geteuid() == 0 {
		return "/var/lib/kiosk-dev", nil
	}
	if dir := os.Getenv("XDG_DATA_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "kiosk", "dev"), nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", fmt.Errorf("find the user's data folder: %w; set HOME or name a data folder", err)
	}
	if runtime.GOOS == "darwin" {
		return filepath.Join(home, "Library", "Application Support", "kiosk", "dev"), nil
	}
	return filepath.Join(home, ".local", "share", "kiosk", "dev"), nil
}

func startDurable(ctx context.Context, o Options, a account) (*Server, error) {
	dir, err := prepareDir(o.Dir, a)
	if err != nil {
		return nil, err
	}
	lock, err := lockDir(dir)
	if err != nil {
		return nil, err
	}
	s := &Server{dir: dir, data: filepath.Join(dir, dataName), account: a, lock: lock}
	if err := s.startLocked(ctx, o); err != nil {
		lock.release()
		return nil, err
	}
	o.Log.Debug("private postgres runs", "dir", s.dir, "version", s.bin.version)
	return s, nil
}

// startLocked starts the server of a folder whose lock we hold.
func (s *Server) startLocked(ctx context.Context, o Options) error {
	ended, err := endStranger(s.data, step{syscall.SIGINT, fastStopLimit}, step{syscall.SIGQUIT, quitLimit})
	if err != nil {
		return err
	}
	if ended {
		o.Log.Warn("stopped a server that an earlier run had left on this folder", "dir", s.dir)
	}
	major, err := dataMajor(s.data)
	if err != nil {
		return err
	}
	s.bin, err = provideBinaries(ctx, o, s.account, major)
	if err != nil {
		return explainMajor(err, s.dir, major)
	}
	if major == 0 {
		if err := s.initDurable(ctx); err != nil {
			return err
		}
	}
	s.run, err = s.account.makeRunFolder(s.dir)
	if err != nil {
		return err
	}
	return s.boot(ctx)
}

// prepareDir makes the folder if it is missing, and refuses one that cannot be
// used, before anything is written into it.
func prepareDir(dir string, a account) (string, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	if err := a.reachDir(existing(dir)); err != nil {
		return "", err
	}
	if err := makeDir(dir, a); err != nil {
		return "", err
	}
	// One spelling for all: the server's command line is compared with it.
	if dir, err = filepath.EvalSymlinks(dir); err != nil {
		return "", err
	}
	if err := a.reachDir(dir); err != nil {
		return "", err
	}
	info, err := os.Lstat(filepath.Join(dir, dataName))
	if errors.Is(err, os.ErrNotExist) {
		return dir, errors.Join(checkWritable(dir), checkEmpty(dir))
	}
	if err != nil {
		return "", err
	}
	if owner, ok := ownerOf(info); !ok || owner != a.uid {
		return "", fmt.Errorf("the data in %s belongs to user %s, but the server would run as %s; "+
			"run kiosk as the user who made it (root, if that is postgres or nobody), or hand it over: chown -R %s %s",
			dir, userName(owner), userName(a.uid), userName(a.uid), dir)
	}
	return dir, checkWritable(dir)
}

// reachDir is reach with advice.
func (a account) reachDir(dir string) error {
	if err := a.reach(dir); err != nil {
		return fmt.Errorf("%w; use a folder outside of closed ones, such as /var/lib/kiosk-dev, or run as an ordinary user", err)
	}
	return nil
}

// existing returns the folder itself or the nearest one above it that is there.
func existing(dir string) string {
	for dir != filepath.Dir(dir) {
		if _, err := os.Lstat(dir); err == nil {
			break
		}
		dir = filepath.Dir(dir)
	}
	return dir
}

func makeDir(dir string, a account) error {
	if _, err := os.Stat(dir); err == nil {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return err
	}
	err := os.Mkdir(dir, 0o700)
	if errors.Is(err, os.ErrExist) {
		return nil // another process was faster
	}
	if err != nil {
		return err
	}
	return os.Chmod(dir, a.parentMode())
}

func checkWritable(dir string) error {
	if err := unix.Access(dir, unix.W_OK|unix.X_OK); err != nil {
		return fmt.Errorf("%s cannot be written: %w; use another folder, or run kiosk as the user who owns it", dir, err)
	}
	return nil
}

// checkEmpty refuses a folder that holds something of somebody else.
func checkEmpty(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	ours := []string{durableLock, newDataName, runName, logName, logName + ".old"}
	for _, e := range entries {
		if !slices.Contains(ours, e.Name()) {
			return fmt.Errorf("%s is not empty and has no database of ours (there is %s); use a new folder", dir, e.Name())
		}
	}
	return nil
}

// lockDir makes sure that we are the only user of the folder.
func lockDir(dir string) (*fileLock, error) {
	path := filepath.Join(dir, durableLock)
	lock, err := tryLock(path, unix.LOCK_EX)
	if errors.Is(err, errLocked) {
		holder, _ := os.ReadFile(path) // for the message only
		return nil, fmt.Errorf("%s is in use by another kiosk, process %s; stop it or use another folder",
			dir, strings.TrimSpace(string(holder)))
	}
	if err != nil {
		return nil, err
	}
	if err := lock.write(strconv.Itoa(os.Getpid())); err != nil {
		lock.release()
		return nil, err
	}
	return lock, nil
}

// dataMajor returns the version that made the data folder, 0 if there is none.
func dataMajor(data string) (int, error) {
	text, err := os.ReadFile(filepath.Join(data, "PG_VERSION"))
	if errors.Is(err, os.ErrNotExist) {
		if _, err := os.Lstat(data); err == nil {
			return 0, fmt.Errorf("%s is not a PostgreSQL data folder; move it away", data)
		}
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	major, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return 0, fmt.Errorf("read the version of %s: %w", data, err)
	}
	return major, nil
}

func explainMajor(err error, dir string, major int) error {
	if major == 0 {
		return err
	}
	return fmt.Errorf("the data in %s was made by PostgreSQL %d, and only that version can use it: %w; "+
		"to move to another version dump it with version %d (pg_dumpall), move the folder away, start again and restore (psql -f)",
		dir, major, err, major)
}

// initDurable makes the data folder under another name first, so that a killed
// initdb leaves nothing that looks finished.
func (s *Server) initDurable(ctx context.Context) error {
	part := filepath.Join(s.dir, newDataName)
	if err := os.RemoveAll(part); err != nil {
		return err
	}
	if err := s.account.makeFolder(part); err != nil {
		return err
	}
	if err := s.initdb(ctx, part); err != nil {
		return err
	}
	return os.Rename(part, s.data)
}
