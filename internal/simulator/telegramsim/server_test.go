package telegramsim_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"kiosk/internal/simulator/telegramsim"
)

func TestDataDir_SurvivesARestart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	keep := func(c *telegramsim.Config) { c.DataDir = dir }
	data := picture(200, 100)

	first := newSim(t, keep)
	u := first.user()
	m := decode(t, first.upload("/bot"+token+"/sendPhoto", map[string]string{"chat_id": text(u.ID), "reply_markup": mustJSON(keyboard(
		[]obj{{"text": "b", "callback_data": "d"}}))}, formFile{"photo", "a.png", data}))
	var sold telegramsim.Message
	first.must("sendInvoice", invoice(u.ID, nil), &sold)
	first.must("setMyCommands", obj{"commands": []obj{{"command": "help", "description": "d"}}}, nil)
	// Nobody listens there, so that the update stays pending.
	first.must("setWebhook", obj{"url": "http://127.0.0.1:1/hook", "secret_token": "s"}, nil)
	lastUpdate := first.Updates()[0].ID
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}

	second := newSim(t, keep)
	if users := second.Users(); len(users) != 1 || users[0] != u {
		t.Errorf("users: %+v", users)
	}
	again := second.Messages(u.ID)
	if len(again) != 3 || again[1].ReplyMarkup == nil || again[1].Photo[0] != m.Photo[0] {
		t.Fatalf("messages: %+v", again)
	}
	if got, err := second.FileBytes(m.Photo[len(m.Photo)-1].FileID); err != nil || !bytes.Equal(got, data) {
		t.Errorf("file: %d bytes, %v", len(got), err)
	}
	var info struct {
		URL     string `json:"url"`
		Pending int    `json:"pending_update_count"`
	}
	second.must("getWebhookInfo", obj{}, &info)
	if info.URL != "http://127.0.0.1:1/hook" || info.Pending != 1 {
		t.Errorf("webhook: %+v", info)
	}
	b := cashier(t, true)
	second.hook(b, nil)
	if d := b.wait(t, 1)[0]; d.update.ID != lastUpdate || d.update.Message.Text != "/start" {
		t.Errorf("pending update: %s", d.raw)
	}
	if _, err := second.Press(u.ID, m.MessageID, "d"); err != nil {
		t.Errorf("press: %v", err)
	}
	if _, err := second.Pay(short(t), u.ID, sold.MessageID); err != nil {
		t.Errorf("pay: %v", err)
	}
	if next := second.send(obj{"chat_id": u.ID, "text": "x"}); next.MessageID != 5 {
		t.Errorf("next message: %d", next.MessageID)
	}
}

func TestDataDir_DamagedStateIsRefusedWithTheRemedy(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "telegram.json"), []byte(`{"vers`), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := telegramsim.New(telegramsim.Config{Token: token, DataDir: dir})
	if err == nil || !strings.Contains(err.Error(), "delete it to begin anew") {
		t.Errorf("got %v", err)
	}
}

func TestEvents_StreamAndResume(t *testing.T) {
	t.Parallel()
	s := newSim(t)
	u := s.user()
	lines, lastID := s.stream(u.ID, "")
	s.must("sendChatAction", obj{"chat_id": u.ID, "action": "typing"}, nil)
	s.send(obj{"chat_id": u.ID, "text": "hello"})
	lines.until(t, `"kind":"action","action":"typing"`)
	lines.until(t, `"text":"hello"`)

	resumed, _ := s.stream(u.ID, lastID)
	resumed.until(t, `"kind":"action"`)
	stale, _ := s.stream(u.ID, "1")
	stale.until(t, "event: reset")

	other := s.NewUser("B", "en")
	lines.until(t, "event: users")
	if other.ID == u.ID {
		t.Error("users must have ids of their own")
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for lines.scanner.Scan() { // Close has ended the stream, or this hangs.
	}
}

type eventLines struct{ scanner *bufio.Scanner }

func (l eventLines) until(t *testing.T, part string) string {
	t.Helper()
	for l.scanner.Scan() {
		if strings.Contains(l.scanner.Text(), part) {
			return l.scanner.Text()
		}
	}
	t.Fatalf("the stream ended before %q: %v", part, l.scanner.Err())
	return ""
}

// stream opens the events of a user and returns the id that the stream begins with.
func (s *sim) stream(userID int64, lastID string) (eventLines, string) {
	s.t.Helper()
	request, err := http.NewRequestWithContext(short(s.t), "GET", s.url+path(userID, "events"), nil)
	if err != nil {
		s.t.Fatal(err)
	}
	if lastID != "" {
		request.Header.Set("Last-Event-ID", lastID)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { response.Body.Close() })
	lines := eventLines{bufio.NewScanner(response.Body)}
	return lines, strings.TrimPrefix(lines.until(s.t, "id: "), "id: ")
}

func TestControl_BadInputGetsAFittingAnswer(t *testing.T) {
	t.Parallel()
	s := newSim(t)
	u := s.user()
	for _, c := range []struct {
		method, path string
		body         any
		status       int
	}{
		{"GET", "/sim/users/7", nil, 404},
		{"GET", "/sim/users/x", nil, 404},
		{"POST", "/sim/users/7/messages", obj{"text": "x"}, 404},
		{"POST", path(u.ID, "messages"), obj{"text": " "}, 400},
		{"POST", path(u.ID, "messages"), obj{"text": strings.Repeat("a", 4097)}, 400},
		{"POST", path(u.ID, "press"), "nonsense", 400},
		{"GET", path(u.ID, "messages?after=x"), nil, 400},
		{"GET", "/sim/users/7/events", nil, 404},
		{"GET", "/sim/files/none", nil, 404},
		{"GET", "/sim/nothing", nil, 404},
		{"POST", "/", nil, 405},
	} {
		if status := s.control(c.method, c.path, c.body, nil); status != c.status {
			t.Errorf("%s %s: %d, want %d", c.method, c.path, status, c.status)
		}
	}
}

func TestControl_OtherSitesMayNotAct(t *testing.T) {
	t.Parallel()
	s := newSim(t)
	request, _ := http.NewRequest("POST", s.url+"/sim/users", strings.NewReader(`{"first_name":"Eve"}`))
	request.Header.Set("Sec-Fetch-Site", "cross-site")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if response.StatusCode != http.StatusForbidden || len(s.Users()) != 0 {
		t.Errorf("status %d, users %+v", response.StatusCode, s.Users())
	}
}

func TestWebChat_IsServedUnderAStrictPolicy(t *testing.T) {
	t.Parallel()
	s := newSim(t)
	for path, kind := range map[string]string{"/": "text/html", "/style.css": "text/css", "/app.js": "text/javascript", "/wallpaper.svg": "image/svg+xml"} {
		response, err := http.Get(s.url + path)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		policy := response.Header.Get("Content-Security-Policy")
		if response.StatusCode != 200 || !strings.HasPrefix(response.Header.Get("Content-Type"), kind) || !strings.HasPrefix(policy, "default-src 'none'; script-src 'self'") {
			t.Errorf("%s: %d %v", path, response.StatusCode, response.Header)
		}
	}
}

func TestEnsureUser_IsIdempotent(t *testing.T) {
	t.Parallel()
	s := newSim(t)
	first := s.EnsureUser(telegramsim.User{ID: 42, FirstName: "Admin", LanguageCode: "ru"})
	if again := s.EnsureUser(telegramsim.User{ID: 42, FirstName: "Other"}); again != first {
		t.Errorf("again: %+v", again)
	}
	if a, b := s.NewUser("A", ""), s.NewUser("B", ""); a.ID == b.ID || a.ID < 1<<32 {
		t.Errorf("ids %d, %d", a.ID, b.ID)
	}
}

func TestClose_EndsEverythingThatWaits(t *testing.T) {
	t.Parallel()
	s := newSim(t)
	u := s.user()
	var m telegramsim.Message
	s.must("sendInvoice", invoice(u.ID, nil), &m)
	ctx := short(t)
	waiting := make(chan error, 2)
	go func() {
		_, err := s.WaitMessage(ctx, u.ID, func(telegramsim.Message) bool { return false })
		waiting <- err
	}()
	go func() {
		_, err := s.Pay(ctx, u.ID, m.MessageID)
		waiting <- err
	}()
	time.Sleep(10 * time.Millisecond) // Whether they wait already or not, the outcome is the same.
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := <-waiting; !errors.Is(err, telegramsim.ErrClosed) {
			t.Errorf("got %v", err)
		}
	}
	if a := s.status("/sim/users"); a != http.StatusServiceUnavailable {
		t.Errorf("after Close: %d", a)
	}
	if err := s.Close(); err != nil {
		t.Errorf("second Close: %v", err)
	}
}

func (s *sim) status(path string) int {
	response, err := http.Get(s.url + path)
	if err != nil {
		s.t.Fatal(err)
	}
	response.Body.Close()
	return response.StatusCode
}

func TestWaitMessage_ObeysItsContext(t *testing.T) {
	t.Parallel()
	s := newSim(t)
	u := s.user()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := s.WaitMessage(ctx, u.ID, func(m telegramsim.Message) bool { return m.Text == "never" })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}
