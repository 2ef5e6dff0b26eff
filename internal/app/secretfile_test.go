package app_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"kiosk/internal/app"
)

// secretFile writes a file as Docker, Kubernetes or systemd would mount it.
func secretFile(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(path, []byte(text), 0o400); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestSecretFile_EverySecretCanBeRead(t *testing.T) {
	t.Parallel()
	secrets := 0
	for _, s := range (app.Config{}).Settings() {
		if !s.Secret {
			continue
		}
		secrets++
		value := "postgres://kiosk:hidden-" + s.Name + "@db/kiosk" // a valid value of every secret
		c := mustLoad(t, valid(s.Name, "", s.Name+"_FILE", secretFile(t, value+"\r\n")))
		if !slices.ContainsFunc(c.Settings(), func(got app.Setting) bool { return got.Name == s.Name && got.Value == "***" }) {
			t.Errorf("%s was not read from its file", s.Name)
		}
	}
	if secrets < 7 {
		t.Errorf("only %d secrets", secrets)
	}
}

func TestSecretFile_IsTakenWithoutTheLineEndsOnly(t *testing.T) {
	t.Parallel()
	c := mustLoad(t, valid("KIE_API_KEY", "", "KIE_API_KEY_FILE", secretFile(t, " hidden 'key' \n\n")))
	if got := c.KieKey.Reveal(); got != " hidden 'key' " {
		t.Errorf("%q", got)
	}
}

func TestSecretFile_TheEnvironmentWinsOverTheSettingsFile(t *testing.T) {
	t.Parallel()
	path := secretFile(t, "from-file")
	mentions := func(line string) string {
		return strings.ReplaceAll(envFile, "KIE_API_KEY='hidden # kie = key'", line)
	}
	for name, c := range map[string]app.Config{
		"from-file": mustLoad(t, inFile(t, mentions("KIE_API_KEY=direct"), "CURRENCY", "USD", "KIE_API_KEY_FILE", path)),
		"direct":    mustLoad(t, inFile(t, mentions("KIE_API_KEY_FILE="+path), "CURRENCY", "USD", "KIE_API_KEY", "direct")),
	} {
		if got := c.KieKey.Reveal(); got != name {
			t.Errorf("%q, want %q", got, name)
		}
	}
	if c := mustLoad(t, inFile(t, mentions("KIE_API_KEY_FILE="+path), "CURRENCY", "USD")); c.KieKey.Reveal() != "from-file" {
		t.Error("the settings file cannot name a secret's file")
	}
}

func TestSecretFile_EachMistakeIsNamedAlone(t *testing.T) {
	t.Parallel()
	none := filepath.Join(t.TempDir(), "hidden")
	for want, path := range map[string]string{
		"no such file": none, "is a directory": t.TempDir(), "is empty": secretFile(t, "\n"),
		"more than one line": secretFile(t, "hidden\nhidden\n"), "more than 65536 bytes": secretFile(t, strings.Repeat("x", 1<<17)),
	} {
		list := problems(t, valid("KIE_API_KEY", "", "KIE_API_KEY_FILE", path))
		if len(list) != 1 || list[0].Name != "KIE_API_KEY_FILE" || !strings.Contains(list[0].Text, want) || !strings.Contains(list[0].Text, "holds KIE_API_KEY") {
			t.Errorf("%s: %v", want, list)
		}
		if len(list) > 0 && strings.Contains(list[0].Text, "hidden") {
			t.Errorf("quoted: %s", list[0].Text)
		}
	}
}

func TestSecretFile_BesideTheSecretItselfIsRefused(t *testing.T) {
	t.Parallel()
	path := secretFile(t, "hidden")
	for _, env := range []map[string]string{
		valid("KIE_API_KEY_FILE", path),
		inFile(t, envFile+"KIE_API_KEY_FILE="+path+"\n", "CURRENCY", "USD"),
	} {
		list := problems(t, env)
		if len(list) != 1 || list[0].Name != "KIE_API_KEY_FILE" || !strings.Contains(list[0].Text, "beside KIE_API_KEY") {
			t.Errorf("%v", list)
		}
	}
}

// Who writes the secret where the path belongs must not find it in the log.
func TestSecretFile_AMisplacedSecretIsNotPrinted(t *testing.T) {
	t.Parallel()
	_, err := load(valid("TELEGRAM_BOT_TOKEN", "", "TELEGRAM_BOT_TOKEN_FILE", botToken))
	if err == nil || strings.Contains(err.Error(), "hidden") || !strings.Contains(err.Error(), "TELEGRAM_BOT_TOKEN_FILE") {
		t.Errorf("%v", err)
	}
}
