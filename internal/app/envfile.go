package app

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// perInstance are the settings in which the instances of one deployment differ;
// a file that they share holds none of them.
func perInstance() []string { return []string{"PORT", "LISTEN", "INSTANCE_NAME"} }

// SharedNames lists what an env file may hold for all instances: settings, and
// the files that hold their secrets.
func SharedNames() []string {
	list := slices.DeleteFunc(names(), func(n string) bool { return slices.Contains(perInstance(), n) })
	for _, name := range secretNames() {
		list = append(list, name+fileSuffix)
	}
	return list
}

// WriteEnvFile writes settings as a file that KIOSK_ENV_FILE may name, readable
// by its owner only. It writes all or nothing, and replaces a file only if told.
func WriteEnvFile(path string, values map[string]string, replace bool) error {
	text, err := envFile(path, values)
	if err != nil {
		return err
	}
	if !replace {
		if _, err := os.Lstat(path); err == nil {
			return fmt.Errorf("write the settings: %s: %w", path, os.ErrExist)
		}
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".kiosk-env-*") // mode 0600
	if err != nil {
		return fmt.Errorf("write the settings: %w", err)
	}
	_, err = f.WriteString(text)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		os.Remove(f.Name())
		return fmt.Errorf("write the settings: %w", err)
	}
	return nil
}

func envFile(path string, values map[string]string) (string, error) {
	var b strings.Builder
	fmt.Fprintf(&b, "# Settings of Kiosk. Start an instance with  KIOSK_ENV_FILE=%s kiosk serve\n", path)
	for _, s := range (Config{}).Settings() {
		name, value := s.Name, values[s.Name]
		if value == "" && s.Secret {
			name, value = s.Name+fileSuffix, values[s.Name+fileSuffix]
		}
		if value == "" || slices.Contains(perInstance(), s.Name) {
			continue
		}
		if strings.ContainsAny(value, "\r\n") {
			return "", fmt.Errorf("%s has more than one line; write it on one", name)
		}
		fmt.Fprintf(&b, "\n# %s\n%s=%s\n", s.Desc, name, quoted(value))
	}
	return b.String(), nil
}

// quoted protects what the reader would take off: space and quotes at the ends.
func quoted(value string) string {
	if strings.TrimSpace(value) != value || strings.ContainsAny(value[:1], `"'`) {
		return `"` + value + `"`
	}
	return value
}
