package telegram_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"mime"
	"mime/multipart"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/PaulSonOfLars/gotgbot/v2"

	"kiosk/internal/telegram"
)

// request is a call as it arrived.
type request struct {
	path, media string
	json        map[string]any    // of a JSON body
	fields      map[string]string // of a form
	files       map[string]string // of a form, as "name:content"
}

// record answers every call with ok and hands it to the channel.
func record(t *testing.T) (*gotgbot.Bot, <-chan request) {
	t.Helper()
	got := make(chan request, 1)
	return serve(t, func(w http.ResponseWriter, r *http.Request) {
		got <- read(t, r)
		_, _ = io.WriteString(w, `{"ok":true,"result":true}`)
	}), got
}

func read(t *testing.T, r *http.Request) request {
	got := request{path: r.URL.Path, fields: map[string]string{}, files: map[string]string{}}
	var err error
	if got.media, _, err = mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil {
		t.Error(err)
	}
	if got.media == "application/json" {
		if err := json.NewDecoder(r.Body).Decode(&got.json); err != nil {
			t.Error(err)
		}
		return got
	}
	form, err := r.MultipartReader()
	if err != nil {
		t.Error(err)
		return got
	}
	for {
		part, err := form.NextPart()
		if errors.Is(err, io.EOF) {
			return got
		}
		if err != nil {
			t.Error(err)
			return got
		}
		got.add(t, part)
	}
}

func (r request) add(t *testing.T, part *multipart.Part) {
	raw, err := io.ReadAll(part)
	if err != nil {
		t.Error(err)
	}
	if name := part.FileName(); name != "" {
		r.files[part.FormName()] = name + ":" + string(raw)
		return
	}
	r.fields[part.FormName()] = string(raw)
}

// call sends params as they are; its result is no matter.
func call(t *testing.T, b *gotgbot.Bot, method string, params map[string]any) {
	t.Helper()
	if _, err := b.RequestWithContext(t.Context(), method, params, nil); err != nil {
		t.Fatal(err)
	}
}

func TestCall_WithoutFileIsJSON(t *testing.T) {
	t.Parallel()
	b, got := record(t)
	call(t, b, "sendPhoto", map[string]any{
		"chat_id": int64(7), "photo": gotgbot.InputFileByURL("https://example.com/a.png"), "caption": "кот <b>& co</b>",
		"reply_markup": gotgbot.InlineKeyboardMarkup{InlineKeyboard: [][]gotgbot.InlineKeyboardButton{{{Text: "Again", CallbackData: "a"}}}},
	})
	r := <-got
	if r.media != "application/json" || r.path != "/bot"+token+"/sendPhoto" {
		t.Fatalf("%s to %s", r.media, r.path)
	}
	if r.json["chat_id"] != 7.0 || r.json["photo"] != "https://example.com/a.png" || r.json["caption"] != "кот <b>& co</b>" {
		t.Errorf("body: %v", r.json)
	}
	if markup, ok := r.json["reply_markup"].(map[string]any); !ok || markup["inline_keyboard"] == nil {
		t.Errorf("reply_markup is no object: %v", r.json["reply_markup"])
	}
}

func TestCall_WithFileIsMultipart(t *testing.T) {
	t.Parallel()
	b, got := record(t)
	call(t, b, "sendPhoto", map[string]any{
		"chat_id": int64(7), "caption": `"quoted" & plain`, "has_spoiler": true,
		"photo":        gotgbot.InputFileByReader("a.png", strings.NewReader("png")),
		"cover":        gotgbot.InputFileByID("AgACAgIAAxkBAAP3"),
		"reply_markup": gotgbot.ForceReply{ForceReply: true, Selective: true},
	})
	r := <-got
	want := map[string]string{
		"chat_id": "7", "caption": `"quoted" & plain`, "has_spoiler": "true", "cover": "AgACAgIAAxkBAAP3",
		"reply_markup": `{"force_reply":true,"selective":true}`,
	}
	if r.media != "multipart/form-data" || !maps.Equal(r.fields, want) {
		t.Errorf("%s %q, want multipart/form-data %q", r.media, r.fields, want)
	}
	if !maps.Equal(r.files, map[string]string{"photo": "a.png:png"}) {
		t.Errorf("files: %q", r.files)
	}
}

func TestCall_NilParametersAreLeftOut(t *testing.T) {
	t.Parallel()
	empty := func() map[string]any {
		return map[string]any{
			"text": "x", "a": nil, "b": (*gotgbot.LinkPreviewOptions)(nil), "c": []string(nil), "d": map[string]string(nil),
			"e": gotgbot.ReplyMarkup((*gotgbot.InlineKeyboardMarkup)(nil)),
		}
	}
	b, got := record(t)
	call(t, b, "sendMessage", empty())
	if r := <-got; len(r.json) != 1 || r.json["text"] != "x" {
		t.Errorf("JSON: %v, want the text alone", r.json)
	}
	params := empty()
	params["document"] = gotgbot.InputFileByReader("a.txt", strings.NewReader("a"))
	call(t, b, "sendDocument", params)
	if r := <-got; len(r.fields) != 1 || r.fields["text"] != "x" || r.files["document"] != "a.txt:a" {
		t.Errorf("form: %q %q, want the text and the file", r.fields, r.files)
	}
}

func TestCall_OverrideParamsAreSent(t *testing.T) {
	t.Parallel()
	b, got := record(t)
	o := &gotgbot.RequestOpts{OverrideParams: map[string]any{"can_stop": true}}
	if _, err := b.RequestWithContext(t.Context(), "sendMessage", map[string]any{"text": "x"}, o); err != nil {
		t.Fatal(err)
	}
	if r := <-got; r.json["can_stop"] != true || r.json["text"] != "x" {
		t.Errorf("body: %v", r.json)
	}
}

func TestMediaGroup_UploadsAreReferredTo(t *testing.T) {
	t.Parallel()
	b, got := record(t)
	call(t, b, "sendMediaGroup", map[string]any{"chat_id": int64(7), "media": gotgbot.InputMedias{
		gotgbot.InputMediaPhoto{Media: gotgbot.InputFileByReader("a.png", strings.NewReader("first"))},
		gotgbot.InputMediaPhoto{Media: gotgbot.InputFileByURL("https://example.com/b.png")},
		gotgbot.InputMediaVideo{Media: gotgbot.InputFileByReader("c.mp4", strings.NewReader("third")), Caption: "c"},
	}})
	r := <-got
	var media []struct{ Type, Media, Caption string }
	if err := json.Unmarshal([]byte(r.fields["media"]), &media); err != nil || len(media) != 3 {
		t.Fatalf("media is %q: %v", r.fields["media"], err)
	}
	for i, want := range []string{"a.png:first", "", "c.mp4:third"} {
		name, attached := strings.CutPrefix(media[i].Media, "attach://")
		if attached != (want != "") || r.files[name] != want {
			t.Errorf("item %d refers to %q, which holds %q, want %q", i, media[i].Media, r.files[name], want)
		}
	}
	if media[1].Media != "https://example.com/b.png" || media[2].Type != "video" || media[2].Caption != "c" {
		t.Errorf("media: %+v", media)
	}
}

func TestMediaGroup_WithoutUploadIsJSON(t *testing.T) {
	t.Parallel()
	b, got := record(t)
	call(t, b, "sendMediaGroup", map[string]any{"media": gotgbot.InputMedias{
		gotgbot.InputMediaPhoto{Media: gotgbot.InputFileByID("AgACAgIAAxkBAAP3")},
	}})
	r := <-got
	items, ok := r.json["media"].([]any)
	if !ok || len(items) != 1 || items[0].(map[string]any)["media"] != "AgACAgIAAxkBAAP3" {
		t.Errorf("media: %v", r.json["media"])
	}
}

func TestEditMedia_UploadIsMultipart(t *testing.T) {
	t.Parallel()
	b, got := record(t)
	call(t, b, "editMessageMedia", map[string]any{
		"media": gotgbot.InputMediaPhoto{Media: gotgbot.InputFileByReader("a.png", strings.NewReader("png"))},
	})
	r := <-got
	if !strings.Contains(r.fields["media"], `"media":"attach://media"`) || r.files["media"] != "a.png:png" {
		t.Errorf("form: %q %q", r.fields, r.files)
	}
}

// lockstep is a file that runs at most ahead bytes in front of what the server
// has received. A client that gathers the file before it sends never gets it all.
type lockstep struct {
	size, ahead int

	mu             sync.Mutex
	changed        *sync.Cond
	read, received int
	closed         bool
}

func newLockstep(size, ahead int) *lockstep {
	l := &lockstep{size: size, ahead: ahead}
	l.changed = sync.NewCond(&l.mu)
	return l
}

func (l *lockstep) Read(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for l.read-l.received >= l.ahead && !l.closed {
		l.changed.Wait()
	}
	switch {
	case l.closed:
		return 0, io.ErrClosedPipe
	case l.read == l.size:
		return 0, io.EOF
	}
	n := min(len(p), l.size-l.read, l.ahead)
	l.read += n
	return n, nil
}

// Write counts what the server receives.
func (l *lockstep) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.received += len(p)
	l.changed.Broadcast()
	return len(p), nil
}

// seen returns how much was read and how much has arrived.
func (l *lockstep) seen() (read, received int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.read, l.received
}

func (l *lockstep) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	l.changed.Broadcast()
}

func TestUpload_IsNeverHeldInMemory(t *testing.T) {
	t.Parallel()
	const size, ahead = 30 << 20, 1 << 20
	file := newLockstep(size, ahead)
	b := serve(t, func(w http.ResponseWriter, r *http.Request) {
		form, err := r.MultipartReader()
		if err != nil {
			t.Error(err)
			return
		}
		part, err := form.NextPart()
		if err == nil {
			_, err = io.Copy(file, part)
		}
		if err != nil {
			t.Error(err)
		}
		_, _ = io.WriteString(w, `{"ok":true,"result":true}`)
	})
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	defer context.AfterFunc(ctx, file.close)()
	params := map[string]any{"video": gotgbot.InputFileByReader("v.mp4", file)}
	_, err := b.RequestWithContext(ctx, "sendVideo", params, nil)
	if read, received := file.seen(); err != nil || received != size {
		t.Errorf("%d bytes were read and %d arrived, want %d: %v", read, received, size, err)
	}
}

// zeros is a file without end.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }

// The writer of the body must end, too: TestMain looks for it.
func TestUpload_ServerThatCutsEndsTheWriter(t *testing.T) {
	t.Parallel()
	b := dial(t, wire(t, func(conn net.Conn) {
		_, _ = io.CopyN(io.Discard, conn, 1<<16) // in the midst of the file
	}))
	_, err := b.RequestWithContext(t.Context(), "sendVideo", map[string]any{"video": gotgbot.InputFileByReader("v.mp4", zeros{})}, nil)
	if telegram.OutcomeOf(err) != telegram.Unknown || err == nil {
		t.Errorf("%v, want an unknown outcome", err)
	}
}

func TestUpload_BrokenFileNeverLooksWhole(t *testing.T) {
	t.Parallel()
	whole := make(chan bool, 1)
	b := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		raw, _ := io.ReadAll(r.Body) // it is cut, which is the matter
		whole <- bytes.HasSuffix(bytes.TrimSpace(raw), []byte("--"))
	})
	broken := io.MultiReader(strings.NewReader(strings.Repeat("x", 1<<16)), failing{})
	_, err := b.RequestWithContext(t.Context(), "sendVideo", map[string]any{"video": gotgbot.InputFileByReader("v.mp4", broken)}, nil)
	if err == nil || !strings.Contains(err.Error(), "the source has gone") {
		t.Errorf("%v, want the reader's own error", err)
	}
	if <-whole {
		t.Error("the server got a complete form with half a file")
	}
}

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, errors.New("the source has gone") }
