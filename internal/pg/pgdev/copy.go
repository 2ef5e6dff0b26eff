package pgdev

import (
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

// copyTree copies the content of the folder src into the empty folder dst and
// gives it to the account. Folders are handed over last and from the bottom, so
// that the account cannot change what is still being written.
func copyTree(src, dst string, a account) error {
	var folders []string
	err := filepath.WalkDir(src, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		relative, err := filepath.Rel(src, path)
		if err != nil {
			return err
		}
		target := filepath.Join(dst, relative)
		if !entry.IsDir() {
			return copyFile(path, target, a)
		}
		folders = append(folders, target)
		if relative == "." {
			return nil
		}
		return os.Mkdir(target, 0o700)
	})
	if err != nil || !a.dropped {
		return err
	}
	for _, folder := range slices.Backward(folders) {
		if err := os.Lchown(folder, int(a.uid), int(a.gid)); err != nil {
			return err
		}
	}
	return nil
}

func copyFile(src, dst string, a account) error {
	in, err := os.Open(src)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(dst, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer out.Close()
	if _, err := io.Copy(out, in); err != nil {
		return err
	}
	if a.dropped {
		if err := out.Chown(int(a.uid), int(a.gid)); err != nil {
			return err
		}
	}
	return out.Close()
}
