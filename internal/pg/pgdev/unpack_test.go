package pgdev_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha512"
	"encoding/base64"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"kiosk/internal/pg/pgdev"
)

type tarEntry struct{ name, content string }

const noLinks = `[]`

// pack writes an npm package of the entries, and returns it with its SHA-512.
func pack(t *testing.T, entries ...tarEntry) (path, sum string) {
	t.Helper()
	var buffer bytes.Buffer
	plain := gzip.NewWriter(&buffer)
	archive := tar.NewWriter(plain)
	for _, e := range entries {
		header := &tar.Header{Typeflag: tar.TypeReg, Name: e.name, Mode: 0o600, Size: int64(len(e.content))}
		if err := archive.WriteHeader(header); err != nil {
			t.Fatal(err)
		}
		if _, err := archive.Write([]byte(e.content)); err != nil {
			t.Fatal(err)
		}
	}
	if err := archive.Close(); err != nil {
		t.Fatal(err)
	}
	if err := plain.Close(); err != nil {
		t.Fatal(err)
	}
	path = filepath.Join(t.TempDir(), "package.tgz")
	if err := os.WriteFile(path, buffer.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	hash := sha512.Sum512(buffer.Bytes())
	return path, base64.StdEncoding.EncodeToString(hash[:])
}

func TestUnpack_RestoresModesAndLinks(t *testing.T) {
	t.Parallel()
	archive, sum := pack(t,
		tarEntry{"package/README.md", "not wanted"},
		tarEntry{"package/native/bin/postgres", "program"},
		tarEntry{"package/native/lib/libpq.so.5.18", "library"},
		tarEntry{"package/native/pg-symlinks.json",
			`[{"source":"native/lib/libpq.so.5.18","target":"native/lib/libpq.so.5"}]`})
	dst := t.TempDir()
	if err := pgdev.Unpack(archive, sum, dst); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(filepath.Join(dst, "native/bin/postgres"))
	if err != nil || info.Mode().Perm() != 0o755 {
		t.Errorf("program: %v, %v", info, err)
	}
	text, err := os.ReadFile(filepath.Join(dst, "native/lib/libpq.so.5"))
	if err != nil || string(text) != "library" {
		t.Errorf("link: %q, %v", text, err)
	}
	if _, err := os.Stat(filepath.Join(dst, "README.md")); err == nil {
		t.Error("unpacked what is not wanted")
	}
}

func TestUnpack_WrongHashWritesNothing(t *testing.T) {
	t.Parallel()
	_, other := pack(t, tarEntry{"package/native/pg-symlinks.json", "[ ]"})
	archive, _ := pack(t, tarEntry{"package/native/pg-symlinks.json", noLinks})
	dst := t.TempDir()
	if err := pgdev.Unpack(archive, other, dst); err == nil || !strings.Contains(err.Error(), "SHA-512") {
		t.Errorf("got %v", err)
	}
	if entries, err := os.ReadDir(dst); err != nil || len(entries) != 0 {
		t.Errorf("%d entries were written, %v", len(entries), err)
	}
}

func TestUnpack_NothingLeavesTheFolder(t *testing.T) {
	t.Parallel()
	links := func(text string) tarEntry { return tarEntry{"package/native/pg-symlinks.json", text} }
	for name, entries := range map[string][]tarEntry{
		"parent":         {{"package/../../evil", "x"}, links(noLinks)},
		"absolute":       {{"/package/native/evil", "x"}, links(noLinks)},
		"other folder":   {{"elsewhere/native/evil", "x"}, links(noLinks)},
		"link out":       {links(`[{"source":"../../etc/passwd","target":"native/lib"}]`)},
		"link elsewhere": {links(`[{"source":"native/lib","target":"../evil"}]`)},
		"link over file": {{"package/native/lib", "x"}, links(`[{"source":"native/x","target":"native/lib"}]`)},
		"twice":          {{"package/native/x", "x"}, {"package/native/x", "y"}, links(noLinks)},
		"no links file":  {{"package/native/x", "x"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			archive, sum := pack(t, entries...)
			parent := t.TempDir()
			dst := filepath.Join(parent, "dst")
			if err := os.Mkdir(dst, 0o700); err != nil {
				t.Fatal(err)
			}
			if err := pgdev.Unpack(archive, sum, dst); err == nil {
				t.Error("was accepted")
			}
			if entries, err := os.ReadDir(parent); err != nil || len(entries) != 1 {
				t.Errorf("written outside: %v, %v", entries, err)
			}
		})
	}
}

// The real download needs a registry, so it is asked for.
func TestDownload_GetsAServerThatRuns(t *testing.T) {
	t.Parallel()
	if os.Getenv("KIOSK_TEST_NPM") == "" {
		t.Skip("set KIOSK_TEST_NPM=1 to download 24 MB with npm")
	}
	folder := newDir(t)
	if err := os.Mkdir(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.NewTextHandler(t.Output(), nil))
	for range 2 { // the second finds it
		bin, err := pgdev.Download(t.Context(), folder, log)
		if err != nil {
			t.Fatal(err)
		}
		out, err := exec.Command(filepath.Join(bin, "initdb"), "--version").CombinedOutput()
		if err != nil || !strings.Contains(string(out), "(PostgreSQL) 18") {
			t.Errorf("initdb says %q, %v", out, err)
		}
	}
	if left, _ := filepath.Glob(filepath.Join(folder, "*.part")); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}
