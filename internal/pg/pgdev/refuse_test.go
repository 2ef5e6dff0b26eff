package pgdev_test

import (
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"kiosk/internal/pg/pgdev"
)

func TestStart_SecondUserOfADirIsRefused(t *testing.T) {
	t.Parallel()
	dir := newDir(t)
	s := start(t, pgdev.Options{Dir: dir})
	refused(t, dir, "is in use by another kiosk, process "+strconv.Itoa(os.Getpid()))
	if got := queryText(t, s.URL("postgres"), "SELECT 'alive'"); got != "alive" {
		t.Errorf("got %s", got)
	}
}

func TestStart_DirThatTheAccountCannotReachIsRefused(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("only root's server runs as somebody else")
	}
	parent := newDir(t)
	if err := os.Mkdir(parent, 0o700); err != nil {
		t.Fatal(err)
	}
	refused(t, filepath.Join(parent, "data"), "cannot enter "+parent)
	if entries, err := os.ReadDir(parent); err != nil || len(entries) != 0 {
		t.Errorf("the refused folder was made: %v, %v", entries, err)
	}
}

func TestStart_FolderOfSomethingElseIsRefusedUntouched(t *testing.T) {
	t.Parallel()
	dir := newDir(t)
	writeFile(t, filepath.Join(dir, "holiday.jpg"), "")
	refused(t, dir, "is not empty and has no database of ours (there is holiday.jpg)")
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 1 {
		t.Errorf("the folder was changed: %v, %v", entries, err)
	}
}

func TestStart_DataOfAnotherVersionIsRefused(t *testing.T) {
	t.Parallel()
	dir := newDir(t)
	writeFile(t, filepath.Join(dir, "pgdata", "PG_VERSION"), "9\n")
	if os.Geteuid() == 0 {
		chown(t, filepath.Join(dir, "pgdata"), serverUser(t))
	}
	refused(t, dir, "was made by PostgreSQL 9", "pg_dumpall")
}

func TestStart_DataOfAnotherUserIsRefused(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("only root can give a folder away")
	}
	dir := newDir(t)
	writeFile(t, filepath.Join(dir, "pgdata", "PG_VERSION"), "15\n")
	refused(t, dir, "belongs to user root, but the server would run as", "chown -R")
}

func TestFindBinaries_BadVariableIsAnError(t *testing.T) {
	t.Setenv("KIOSK_PG_BIN", t.TempDir())
	if _, err := pgdev.FindBinaries(); err == nil || !strings.Contains(err.Error(), "KIOSK_PG_BIN") {
		t.Errorf("got %v", err)
	}
}

func TestFindBinaries_FindsPrograms(t *testing.T) {
	t.Parallel()
	bin, err := pgdev.FindBinaries()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(bin, "initdb")); err != nil {
		t.Error(err)
	}
}

func TestDefaultDir_IsAbsolute(t *testing.T) {
	t.Setenv("XDG_DATA_HOME", "/data")
	dir, err := pgdev.DefaultDir()
	if err != nil || !filepath.IsAbs(dir) {
		t.Errorf("%q, %v", dir, err)
	}
}

func refused(t *testing.T, dir string, reasons ...string) {
	t.Helper()
	s, err := pgdev.Start(t.Context(), pgdev.Options{Dir: dir})
	if err == nil {
		s.Stop()
		t.Fatal("was accepted")
	}
	for _, reason := range reasons {
		if !strings.Contains(err.Error(), reason) {
			t.Errorf("the error does not say %q: %v", reason, err)
		}
	}
}

func writeFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// serverUser is the account that root's server runs as.
func serverUser(t *testing.T) *user.User {
	t.Helper()
	for _, name := range []string{"postgres", "nobody"} {
		if u, err := user.Lookup(name); err == nil {
			return u
		}
	}
	t.Fatal("neither postgres nor nobody")
	return nil
}

func chown(t *testing.T, path string, u *user.User) {
	t.Helper()
	uid, err := strconv.Atoi(u.Uid)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(path, uid, -1); err != nil {
		t.Fatal(err)
	}
}
