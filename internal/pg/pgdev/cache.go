package pgdev

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Data folders in the cache: how long one stays that nobody uses, and how many
// there are at most (each has some 30 MB).
const (
	cacheLife = 7 * 24 * time.Hour
	cacheMost = 10
)

// cache holds finished data folders, and downloaded programs, of one user.
// Entries are never changed once they have their name.
type cache struct{ dir string }

// openCache makes the cache of this user. Root's must be open to the account
// that runs downloaded programs; the data in it stays closed.
func openCache() (cache, error) {
	var reasons []error
	for _, dir := range cacheFolders() {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			reasons = append(reasons, err)
			continue
		}
		if err := checkPrivate(dir); err != nil {
			reasons = append(reasons, err)
			continue
		}
		return cache{dir}, nil
	}
	return cache{}, fmt.Errorf("make a cache folder: %w; set HOME or TMPDIR to a folder that can be written",
		errors.Join(reasons...))
}

func cacheFolders() []string {
	uid := os.Geteuid()
	fallback := filepath.Join(os.TempDir(), "kiosk-cache-"+strconv.Itoa(uid), "postgres")
	dir, err := os.UserCacheDir()
	switch {
	case uid == 0 && os.Getenv("XDG_CACHE_HOME") == "":
		dir = "/var/cache" // root's own folder is closed to the account
	case err != nil:
		return []string{fallback}
	}
	return []string{filepath.Join(dir, "kiosk", "postgres"), fallback}
}

// checkPrivate makes sure that nobody else can plant anything in the folder.
func checkPrivate(dir string) error {
	for _, path := range []string{filepath.Dir(dir), dir} {
		info, err := os.Lstat(path)
		if err != nil {
			return err
		}
		owner, ok := ownerOf(info)
		if !ok || owner != uint32(os.Geteuid()) || !info.IsDir() || info.Mode().Perm()&0o022 != 0 {
			return fmt.Errorf("%s is not a folder that only this user can write", path)
		}
	}
	return unix.Access(dir, unix.W_OK)
}

// fill makes data, an empty folder, a copy of the entry. If there is no such
// entry, build makes the content in data, which then becomes the entry. Of
// several processes that want the same new entry one builds, the others wait.
func (c cache) fill(ctx context.Context, key, data string, a account, build func() error) error {
	done, err := c.copyLocked(ctx, key, data, a)
	if done || err != nil {
		return err
	}
	lock, err := waitLock(ctx, c.lockPath(key), unix.LOCK_EX)
	if err != nil {
		return err
	}
	defer lock.release()
	done, err = c.copyOut(key, data, a) // another process may have been faster
	if done || err != nil {
		return err
	}
	return c.buildEntry(key, data, build)
}

// copyLocked is copyOut while others may read as well.
func (c cache) copyLocked(ctx context.Context, key, data string, a account) (bool, error) {
	lock, err := waitLock(ctx, c.lockPath(key), unix.LOCK_SH)
	if err != nil {
		return false, err
	}
	defer lock.release()
	return c.copyOut(key, data, a)
}

// copyOut returns false if there is no such entry.
func (c cache) copyOut(key, data string, a account) (bool, error) {
	entry := filepath.Join(c.dir, key)
	now := time.Now()
	switch err := os.Chtimes(entry, now, now); { // it is in use
	case errors.Is(err, fs.ErrNotExist):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("use the cached data folder: %w", err)
	}
	if err := copyTree(entry, data, a); err != nil {
		return false, fmt.Errorf("copy the cached data folder: %w", err)
	}
	return true, nil
}

// buildEntry runs with the entry's lock held alone.
func (c cache) buildEntry(key, data string, build func() error) error {
	if err := build(); err != nil {
		return err
	}
	c.evict()
	entry := filepath.Join(c.dir, key)
	part := entry + ".part"
	if err := os.RemoveAll(part); err != nil { // of a process that was killed
		return fmt.Errorf("remove a broken cache entry: %w", err)
	}
	if err := os.Mkdir(part, 0o700); err != nil {
		return fmt.Errorf("make a cache entry: %w", err)
	}
	if err := copyTree(data, part, account{}); err != nil {
		return fmt.Errorf("copy into the cache: %w", err)
	}
	if err := os.Rename(part, entry); err != nil {
		return fmt.Errorf("publish a cache entry: %w", err)
	}
	return nil
}

// evict makes room for one more data folder: those that were not used for the
// longest time go, unless they are being used now. It does what it can: a full
// disk shows elsewhere.
func (c cache) evict() {
	for i, e := range c.dataFolders() {
		if i < cacheMost-1 && time.Since(e.ModTime()) < cacheLife {
			continue
		}
		lock, err := tryLock(c.lockPath(e.Name()), unix.LOCK_EX)
		if err != nil {
			continue
		}
		os.RemoveAll(filepath.Join(c.dir, e.Name()))
		os.Remove(lock.path())
		lock.release()
	}
}

// dataFolders lists the cached data folders, the one used last first.
func (c cache) dataFolders() []fs.FileInfo {
	entries, err := os.ReadDir(c.dir)
	if err != nil {
		return nil
	}
	var folders []fs.FileInfo
	for _, e := range entries {
		info, err := e.Info()
		if err == nil && info.IsDir() && strings.HasPrefix(e.Name(), dataPrefix) {
			folders = append(folders, info)
		}
	}
	slices.SortFunc(folders, func(a, b fs.FileInfo) int { return b.ModTime().Compare(a.ModTime()) })
	return folders
}

// dataPrefix begins the name of every entry that is a data folder.
const dataPrefix = "data-"

func (c cache) lockPath(key string) string { return filepath.Join(c.dir, key+".lock") }

func (c cache) downloadFolder() string { return filepath.Join(c.dir, "server-"+downloadVersion) }
