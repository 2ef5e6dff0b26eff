package telegram_test

import (
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/PaulSonOfLars/gotgbot/v2"

	"kiosk/internal/simulator/telegramsim"
	"kiosk/internal/telegram"
)

func TestDownload_IsWhatThePersonSent(t *testing.T) {
	t.Parallel()
	sim, b, user := simulate(t)
	data := picture(t)
	sent, err := sim.SendFile(user, "", telegramsim.Attachment{Kind: "document", Name: "cat.png", Data: data})
	if err != nil {
		t.Fatal(err)
	}
	body, name, err := telegram.Download(soon(t), b, sent[0].Document.FileID)
	if err != nil {
		t.Fatal(err)
	}
	defer body.Close()
	if got, err := io.ReadAll(body); err != nil || !bytes.Equal(got, data) || !strings.HasSuffix(name, ".png") {
		t.Errorf("%d of %d bytes, name %q, %v", len(got), len(data), name, err)
	}
}

// files serves a Bot API that knows one file, and its bytes by the handler.
func files(t *testing.T, path string, bytes http.HandlerFunc) *gotgbot.Bot {
	t.Helper()
	return serve(t, func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/bot") {
			_, _ = io.WriteString(w, `{"ok":true,"result":{"file_id":"f","file_path":"`+path+`"}}`)
			return
		}
		bytes(w, r)
	})
}

func TestDownload_FailuresNameNoToken(t *testing.T) {
	t.Parallel()
	for name, b := range map[string]*gotgbot.Bot{
		"unknown file":     serve(t, reply(400, nil, `{"ok":false,"error_code":400,"description":"Bad Request: invalid file_id"}`)),
		"expired":          files(t, "photos/a.jpg", reply(404, nil, token)),
		"cut":              files(t, "photos/a.jpg", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }),
		"unusable address": files(t, "%zz", reply(200, nil, "x")),
		"elsewhere":        files(t, "photos/a.jpg", reply(302, http.Header{"Location": {"/other"}}, "")),
		"nobody listens":   dial(t, "http://"+closedPort(t)),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			body, _, err := telegram.Download(soon(t), b, "f")
			if err == nil {
				body.Close()
				t.Fatal("no error")
			}
			noToken(t, err)
		})
	}
}

func TestDownload_LargerThanTelegramHandsOutIsCutOff(t *testing.T) {
	t.Parallel()
	b := files(t, "videos/v.mp4", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.CopyN(w, zeros{}, 2*telegram.MaxDownload) // until the caller hangs up
	})
	body, _, err := telegram.Download(soon(t), b, "f")
	if err != nil {
		t.Fatal(err)
	}
	defer body.Close()
	if n, err := io.Copy(io.Discard, body); err == nil || n > telegram.MaxDownload {
		t.Errorf("%d bytes and %v, want an error after %d", n, err, telegram.MaxDownload)
	}
}

func TestDownload_RedirectTellsNobodyTheToken(t *testing.T) {
	t.Parallel()
	other := start(t, func(_ http.ResponseWriter, r *http.Request) { t.Errorf("another server was told %q", r.Referer()) })
	b := files(t, "photos/a.jpg", reply(302, http.Header{"Location": {other}}, ""))
	body, _, err := telegram.Download(soon(t), b, "f")
	if err == nil {
		body.Close()
		t.Error("a redirect was followed")
	}
}
