package pgdev

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// oldestMajor is the first version with CREATE DATABASE ... STRATEGY.
const oldestMajor = 15

const installHint = "install the server: `apt-get install postgresql` (Debian, Ubuntu), " +
	"`dnf install postgresql-server` (Fedora, RHEL), `apk add postgresql` (Alpine), " +
	"`brew install postgresql@17` (macOS); or set KIOSK_PG_BIN to the folder that holds initdb and postgres"

var errNoBinaries = errors.New("no usable PostgreSQL server programs found")

// binaries is a folder with initdb and postgres.
type binaries struct {
	dir     string
	version string // the full text of postgres --version
	major   int
}

// FindBinaries returns the folder of the PostgreSQL server programs: what
// KIOSK_PG_BIN says, else the initdb on PATH, else the newest in the usual
// places of package managers, else what an earlier download left. Versions
// before 15 do not count. The error names the package to install.
func FindBinaries() (string, error) {
	account, err := serverAccount()
	if err != nil {
		return "", err
	}
	b, err := findBinaries(account, 0)
	return b.dir, err
}

// findBinaries is FindBinaries for one major version; 0 is any.
func findBinaries(a account, major int) (binaries, error) {
	if dir := os.Getenv("KIOSK_PG_BIN"); dir != "" {
		b, err := inspect(a, dir, major)
		if err != nil {
			return binaries{}, fmt.Errorf("KIOSK_PG_BIN is %s: %w; point it to a folder that holds initdb and postgres, or unset it",
				dir, err)
		}
		return b, nil
	}
	var refused []string
	for _, dir := range candidates() {
		b, err := inspect(a, dir, major)
		if err == nil {
			return b, nil
		}
		if !errors.Is(err, os.ErrNotExist) {
			refused = append(refused, err.Error())
		}
	}
	if len(refused) > 0 {
		return binaries{}, fmt.Errorf("%w (%s); %s", errNoBinaries, strings.Join(refused, ", "), installHint)
	}
	return binaries{}, fmt.Errorf("%w; %s", errNoBinaries, installHint)
}

// candidates lists the folders to look into, best first.
func candidates() []string {
	var dirs []string
	if path, err := exec.LookPath("initdb"); err == nil {
		if path, err = filepath.EvalSymlinks(path); err == nil {
			dirs = append(dirs, filepath.Dir(path))
		}
	}
	var installed []string
	for _, pattern := range []string{
		"/usr/lib/postgresql/*/bin",
		"/usr/pgsql-*/bin",
		"/usr/libexec/postgresql*",
		"/opt/homebrew/opt/postgresql*/bin",
		"/usr/local/opt/postgresql*/bin",
		"/Applications/Postgres.app/Contents/Versions/*/bin",
	} {
		found, _ := filepath.Glob(pattern) // only a bad pattern is an error
		installed = append(installed, found...)
	}
	slices.SortStableFunc(installed, func(a, b string) int {
		return cmp.Compare(numberIn(b), numberIn(a))
	})
	for _, dir := range installed {
		if !slices.Contains(dirs, dir) {
			dirs = append(dirs, dir)
		}
	}
	if c, err := openCache(); err == nil {
		dirs = append(dirs, filepath.Join(c.downloadFolder(), "bin"))
	}
	return dirs
}

var (
	digits       = regexp.MustCompile(`\d+`)
	versionMajor = regexp.MustCompile(`\(PostgreSQL\) (\d+)`)
)

func numberIn(path string) int {
	n, _ := strconv.Atoi(digits.FindString(path)) // no number sorts last
	return n
}

// inspect checks that the folder holds programs we can use.
func inspect(a account, dir string, major int) (binaries, error) {
	for _, program := range []string{"initdb", "postgres"} {
		if _, err := os.Stat(filepath.Join(dir, program)); err != nil {
			return binaries{}, err
		}
	}
	if err := a.reach(dir); err != nil {
		return binaries{}, err
	}
	out, err := exec.Command(filepath.Join(dir, "postgres"), "--version").Output()
	if err != nil {
		return binaries{}, fmt.Errorf("ask %s/postgres for its version: %w", dir, err)
	}
	b := binaries{dir: dir, version: strings.TrimSpace(string(out))}
	match := versionMajor.FindStringSubmatch(b.version)
	if match == nil {
		return binaries{}, fmt.Errorf("%s/postgres has an unknown version %q", dir, b.version)
	}
	b.major, _ = strconv.Atoi(match[1]) // digits by the pattern
	if b.major < oldestMajor {
		return binaries{}, fmt.Errorf("%s is PostgreSQL %d, too old: %d or newer is needed", dir, b.major, oldestMajor)
	}
	if major != 0 && b.major != major {
		return binaries{}, fmt.Errorf("%s is PostgreSQL %d, not %d", dir, b.major, major)
	}
	return b, nil
}
