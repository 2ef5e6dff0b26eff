package app

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
)

// fileSuffix behind the name of a secret names a file that holds it: the way of
// Docker, Kubernetes and systemd to hand out secrets.
const fileSuffix = "_FILE"

// maxSecret is more than any secret has, and less than a wrong file fills memory with.
const maxSecret = 64 << 10

func secretNames() []string {
	var list []string
	for _, s := range (Config{}).Settings() {
		if s.Secret {
			list = append(list, s.Name)
		}
	}
	return list
}

// overlay puts what the environment sets over what the settings file says. A
// secret replaces the other way of giving it.
func overlay(values map[string]string, getenv Getenv) {
	for _, name := range append(names(), "ADMIN_ID", "RENDER_EXTERNAL_URL") {
		if v, ok := getenv(name); ok && v != "" {
			values[name] = v
		}
	}
	for _, name := range secretNames() {
		path, _ := getenv(name + fileSuffix)
		direct, _ := getenv(name)
		if direct != "" {
			delete(values, name+fileSuffix)
		} else if path != "" {
			delete(values, name)
		}
		if path != "" {
			values[name+fileSuffix] = path
		}
	}
}

// readSecretFiles replaces each NAME_FILE of a secret by what the file holds.
// No problem quotes the path: it may be a secret in the wrong place.
func readSecretFiles(values map[string]string) []Problem {
	var list []Problem
	for _, name := range secretNames() {
		path := values[name+fileSuffix]
		if path == "" {
			continue
		}
		if values[name] != "" {
			list = append(list, Problem{name + fileSuffix, "is set beside " + name + ": keep one of them"})
			continue
		}
		secret, err := readSecret(path)
		if err != nil {
			list = append(list, Problem{name + fileSuffix, fmt.Sprintf("%s; it wants the path of a file that holds %s and nothing else", err, name)})
		}
		values[name] = secret
	}
	return list
}

// readSecret returns the only line of a file.
func readSecret(path string) (string, error) {
	f, err := os.Open(path) //nolint:gosec // the operator names the file
	if err != nil {
		return "", withoutPath(err)
	}
	defer f.Close()
	raw, err := io.ReadAll(io.LimitReader(f, maxSecret+1))
	secret := strings.TrimRight(string(raw), "\r\n")
	switch {
	case err != nil:
		return "", withoutPath(err)
	case len(raw) > maxSecret:
		return "", fmt.Errorf("the file has more than %d bytes", maxSecret)
	case secret == "":
		return "", errors.New("the file is empty")
	case strings.ContainsAny(secret, "\n\x00"):
		return "", errors.New("the file has more than one line")
	}
	return secret, nil
}

func withoutPath(err error) error {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		return fmt.Errorf("the file cannot be read: %w", e.Err)
	}
	return errors.New("the file cannot be read")
}
