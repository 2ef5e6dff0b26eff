package telegram_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/PaulSonOfLars/gotgbot/v2"

	"kiosk/internal/telegram"
)

// late is a server that answers after the time that stands in the place of its
// host name: late://20s answers after 20 seconds.
type late struct{}

func (late) RoundTrip(r *http.Request) (*http.Response, error) {
	defer r.Body.Close()
	wait, err := time.ParseDuration(r.URL.Host)
	if err != nil {
		return nil, err
	}
	select {
	case <-time.After(wait):
	case <-r.Context().Done():
		return nil, context.Cause(r.Context())
	}
	body := io.NopCloser(strings.NewReader(`{"ok":true,"result":[]}`))
	return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: body, Request: r}, nil
}

// register makes late known to the one transport that all clients share. It is
// refused a second time, as with -count=2.
var register = sync.OnceFunc(func() { telegram.Connections.RegisterProtocol("late", late{}) })

// The clock of these calls is not the real one.
func TestCall_Deadlines(t *testing.T) {
	t.Parallel()
	register()
	for name, c := range map[string]struct {
		method, inTime, tooLate string
		params                  func() map[string]any
		opts                    *gotgbot.RequestOpts
	}{
		"ordinary calls get seconds":    {"sendMessage", "14s", "16s", text, nil},
		"uploads get minutes":           {"sendVideo", "119s", "121s", upload, nil},
		"long polls get their own wait": {"getUpdates", "64s", "66s", poll(50), nil},
		"short polls are ordinary":      {"getUpdates", "14s", "16s", text, nil},
		"a caller may choose":           {"sendMessage", "59s", "61s", text, &gotgbot.RequestOpts{Timeout: time.Minute}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				if _, err := dial(t, "late://"+c.inTime).RequestWithContext(t.Context(), c.method, c.params(), c.opts); err != nil {
					t.Errorf("an answer after %s: %v", c.inTime, err)
				}
				if _, err := dial(t, "late://"+c.tooLate).RequestWithContext(t.Context(), c.method, c.params(), c.opts); err == nil {
					t.Errorf("an answer after %s was waited for", c.tooLate)
				}
			})
		})
	}
}

func text() map[string]any { return map[string]any{"text": "x"} }

func upload() map[string]any {
	return map[string]any{"video": gotgbot.InputFileByReader("v.mp4", strings.NewReader("x"))}
}

func poll(seconds int64) func() map[string]any {
	return func() map[string]any { return map[string]any{"timeout": seconds} }
}
