package pgdev

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// longestSocketPath is what a unix socket address holds on macOS, the shortest
// of our systems, without the final zero.
const longestSocketPath = 103

// makeRunFolder makes the folder for the socket of a server folder, or takes
// the one of an earlier run.
func (a account) makeRunFolder(dir string) (string, error) {
	run := runFolder(dir)
	if err := a.makeFolder(run); err == nil || !errors.Is(err, os.ErrExist) {
		return run, err
	}
	info, err := os.Lstat(run)
	if err != nil {
		return "", fmt.Errorf("check the socket folder: %w", err)
	}
	owner, ok := ownerOf(info)
	if !ok || owner != a.uid || !info.IsDir() || info.Mode().Perm() != 0o700 {
		return "", fmt.Errorf("%s is not a folder of user %s alone; remove it and start again", run, userName(a.uid))
	}
	return run, nil
}

// runFolder names the folder for the socket: inside the server folder, or, if
// that path is too long for a socket, a short one that depends on it.
func runFolder(dir string) string {
	run := filepath.Join(dir, runName)
	if len(filepath.Join(run, ".s.PGSQL."+socketPort+".lock")) <= longestSocketPath {
		return run
	}
	return filepath.Join("/tmp", fmt.Sprintf("kpg-run-%d-%s", os.Geteuid(), digest(dir)))
}

// removeFolder removes an ephemeral server folder and its socket folder.
func removeFolder(dir string) error {
	return errors.Join(os.RemoveAll(dir), os.RemoveAll(runFolder(dir)))
}
