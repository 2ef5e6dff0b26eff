package app_test

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"kiosk/internal/app"
)

// What is written is read back as it was, whatever a password consists of.
func TestWriteEnvFile_IsReadBackAsItWas(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "kiosk.env")
	values := map[string]string{
		"TELEGRAM_BOT_TOKEN": `123:#"$x'`, "KIE_API_KEY": `"quoted"`, "TELEGRAM_WEBHOOK_SECRET": " spaces ", "DATABASE_URL": "postgres://a:b=c%40@d/e?x=y", "KIE_WEBHOOK_HMAC_KEY_FILE": "/run/secrets/hmac",
	}
	if err := app.WriteEnvFile(path, values, false); err != nil {
		t.Fatal(err)
	}
	if got, err := app.ReadEnvFile(path); err != nil || !maps.Equal(got, values) {
		t.Errorf("read %q, %v", got, err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
}

func TestWriteEnvFile_ReplacesOnlyWhenTold(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "kiosk.env")
	if err := os.WriteFile(path, []byte("mine"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := app.WriteEnvFile(path, map[string]string{"CURRENCY": "EUR"}, false); !errors.Is(err, os.ErrExist) {
		t.Errorf("want a refusal, got %v", err)
	}
	if err := app.WriteEnvFile(path, map[string]string{"CURRENCY": "a\nPORT=1"}, true); err == nil {
		t.Error("a value of two lines was written")
	}
	if raw, err := os.ReadFile(path); err != nil || string(raw) != "mine" {
		t.Errorf("the file is %q, %v", raw, err)
	}
	if err := app.WriteEnvFile(path, map[string]string{"CURRENCY": "EUR", "PORT": "1"}, true); err != nil {
		t.Fatal(err)
	}
	if got, err := app.ReadEnvFile(path); err != nil || !maps.Equal(got, map[string]string{"CURRENCY": "EUR"}) {
		t.Errorf("read %q, %v; PORT differs between instances and stays out", got, err)
	}
	if entries, err := os.ReadDir(filepath.Dir(path)); err != nil || len(entries) != 1 {
		t.Errorf("%v was left beside the file, %v", entries, err)
	}
}

func TestSharedNames_HaveNoSettingOfOneInstance(t *testing.T) {
	t.Parallel()
	list := app.SharedNames()
	for _, name := range []string{"PORT", "LISTEN", "INSTANCE_NAME"} {
		if slices.Contains(list, name) {
			t.Errorf("%s is shared", name)
		}
	}
	if !slices.Contains(list, "DATABASE_URL") || !slices.Contains(list, "DATABASE_URL_FILE") {
		t.Errorf("%v", list)
	}
}
