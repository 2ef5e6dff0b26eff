package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"kiosk/internal/app/apptest"
	"kiosk/internal/generation"
	"kiosk/internal/pg/pgtest"
	"kiosk/internal/simulator/telegramsim"
)

// newcomer has accounts and an empty database, and nothing set up.
type newcomer struct {
	t    *testing.T
	w    *apptest.World
	env  map[string]string
	file string
}

func newNewcomer(t *testing.T) newcomer {
	w := apptest.New(t)
	w.Database = pgtest.Empty(t)
	return newcomer{t, w, map[string]string{"TELEGRAM_API_URL": w.SimURL, "KIE_API_URL": w.SimURL + "/kie", "KIE_UPLOAD_URL": w.SimURL + "/kie"},
		filepath.Join(t.TempDir(), "kiosk.env")}
}

// answer runs setup with one answer a line.
func (n newcomer) answer(args []string, answers ...string) (stdout, stderr string, code int) {
	n.t.Helper()
	cmd := command(n.t, n.env, append([]string{"setup", "--env-file", n.file}, args...)...)
	cmd.Stdin = strings.NewReader(strings.Join(answers, "\n") + "\n")
	var out, errs strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	if cmd.ProcessState == nil {
		n.t.Fatal(err)
	}
	for _, secret := range []string{apptest.Token, apptest.KieKey, "a-secret-password"} {
		if strings.Contains(out.String()+errs.String(), secret) {
			n.t.Errorf("a secret is printed:\n%s%s", out.String(), errs.String())
		}
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

// called reports which methods of the Bot API were called.
func (n newcomer) called(method string) bool {
	return slices.ContainsFunc(n.w.Telegram.Calls(0), func(c telegramsim.Call) bool { return c.Method == method })
}

// Every wrong answer is named with its remedy and asked for again; the end is a
// green table and a file with which an instance serves.
func TestSetup_WrongAnswersAreAskedAgainAndTheEndIsGreen(t *testing.T) {
	t.Parallel()
	n := newNewcomer(t)
	address := freeAddress(t)
	stdout, stderr, code := n.answer(nil,
		"700000000:a-secret-password-of-somebody-else", apptest.Token,
		"postgres://kiosk:a-secret-password@127.0.0.1:1/kiosk", "mysql://kiosk:a-secret-password@db/kiosk", n.w.Database,
		"wrong-a-secret-password", apptest.KieKey,
		"me", "700000001",
		"http://bot.example.com", "http://"+address)
	if code != 0 {
		t.Fatalf("exit code %d\n%s%s", code, stdout, stderr)
	}
	for _, part := range []string{"Telegram refuses the bot token", "the database server does not answer", "begins with postgres://", "KIE refuses the API key",
		"want Telegram ids such as", "want the public https address", "has not written to the bot yet", "ready: KIOSK_ENV_FILE=" + n.file} {
		if !strings.Contains(stderr, part) {
			t.Errorf("%q was not said:\n%s", part, stderr)
		}
	}
	if strings.Contains(stdout, "fail") || !strings.Contains(stdout, "migrations") {
		t.Errorf("the table:\n%s", stdout)
	}
	for _, method := range []string{"setWebhook", "setMyCommands", "setMyDescription", "setMyShortDescription"} {
		if !n.called(method) {
			t.Errorf("%s was not called", method)
		}
	}
	if info, err := os.Stat(n.file); err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("the file: %v, %v", info, err)
	}
	p := serve(t, map[string]string{"KIOSK_ENV_FILE": n.file}, "first")
	until(t, "the first instance is ACTIVE", p.active)
}

func TestSetup_AScriptNeedsNoAnswers(t *testing.T) {
	t.Parallel()
	n := newNewcomer(t)
	n.env["TELEGRAM_BOT_TOKEN"], n.env["DATABASE_URL"], n.env["KIE_API_KEY"] = apptest.Token, n.w.Database, apptest.KieKey
	for _, c := range []struct {
		args []string
		says string
		code int
	}{
		{[]string{"--yes", "--polling"}, "ADMIN_IDS is required with --yes", 2},
		{[]string{"--yes", "--admin", "1"}, "name --public-url or --polling", 2},
		{[]string{"--yes", "--admin", "1", "--polling", "--public-url", "https://bot.example.com"}, "choose one", 2},
		{[]string{"--yes", "--admin", "x", "--polling"}, "ADMIN_IDS: want Telegram ids", 1},
		{[]string{"--yes", "--admin", "1", "--polling"}, "ready", 0},
		{[]string{"--yes", "--admin", "1", "--polling"}, "exists and was left as it is", 2},
		{[]string{"--yes", "--admin", "1", "--polling", "--replace"}, "ready", 0},
	} {
		if _, stderr, code := n.answer(c.args); code != c.code || !strings.Contains(stderr, c.says) {
			t.Errorf("%v: exit code %d, want %d with %q\n%s", c.args, code, c.code, c.says, stderr)
		}
	}
	secret := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(secret, []byte(apptest.Token+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	delete(n.env, "TELEGRAM_BOT_TOKEN")
	n.env["TELEGRAM_BOT_TOKEN_FILE"] = secret
	n.file += ".of-files"
	if stdout, stderr, code := n.answer([]string{"--yes", "--admin", "1", "--polling"}); code != 0 {
		t.Errorf("with a secret in a file: %d\n%s%s", code, stdout, stderr)
	}
	raw, err := os.ReadFile(n.file)
	if !strings.Contains(string(raw), "\nTELEGRAM_BOT_TOKEN_FILE="+secret+"\n") || strings.Contains(string(raw), apptest.Token) {
		t.Errorf("a secret was moved out of its file:\n%s", raw)
	}
	if err != nil || !strings.Contains(string(raw), "\nBOT_MODE=polling\n") || !strings.Contains(string(raw), "\nKIE_API_URL="+n.w.SimURL) {
		t.Errorf("%v\n%s", err, raw)
	}
}

// An existing file and another program's webhook are touched only with consent.
func TestSetup_TakesNothingFromAnybodyUnasked(t *testing.T) {
	t.Parallel()
	n := newNewcomer(t)
	if err := os.WriteFile(n.file, []byte("PRICE_MARKUP=3.5\nADMIN_IDS=700000001\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, stderr, code := n.answer(nil, "n"); code != 2 || !strings.Contains(stderr, "left as it is") {
		t.Errorf("a refused file: %d, %s", code, stderr)
	}
	other := apptest.New(t)
	other.Start(generation.Limits{}, map[string]string{"DATABASE_URL": other.Database})
	n.env["TELEGRAM_API_URL"] = other.SimURL
	answers := []string{"y", apptest.Token, n.w.Database, apptest.KieKey, "", "https://bot.example.com"}
	if _, stderr, code := n.answer(nil, append(answers, "n")...); code != 1 || !strings.Contains(stderr, "receives this bot's updates") {
		t.Errorf("a refused webhook: %d, %s", code, stderr)
	}
	if raw, err := os.ReadFile(n.file); err != nil || string(raw) != "PRICE_MARKUP=3.5\nADMIN_IDS=700000001\n" {
		t.Errorf("the file is now %s, %v", raw, err)
	}
	stdout, stderr, code := n.answer(nil, append(answers, "y")...)
	if code != 0 {
		t.Fatalf("with consent: %d\n%s%s", code, stdout, stderr)
	}
	raw, err := os.ReadFile(n.file)
	if err != nil || !strings.Contains(string(raw), "\nPRICE_MARKUP=3.5\n") || !strings.Contains(string(raw), "\nADMIN_IDS=700000001\n") {
		t.Errorf("what was not asked for is lost: %s, %v", raw, err)
	}
	if info, err := os.Stat(n.file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the mode is %v, %v", info, err)
	}
}

func TestSetup_AnInputThatEndsWritesNothing(t *testing.T) {
	t.Parallel()
	n := newNewcomer(t)
	_, stderr, code := n.answer(nil, apptest.Token)
	if code != 1 || !strings.Contains(stderr, "the input ended") {
		t.Errorf("exit code %d, %s", code, stderr)
	}
	if _, err := os.Stat(n.file); err == nil {
		t.Error("a file was written")
	}
	if n.called("setWebhook") {
		t.Error("the webhook was set")
	}
}
