package acceptance_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"path"
	"slices"
	"sync"
	"testing"
	"time"
)

// pollHold is how long an empty answer to getUpdates is held: tg-mock gives it
// at once, and the bot, which counts on a long poll, would ask again at once.
const pollHold = 100 * time.Millisecond

// call is one call of the bot and what tg-mock made of it.
type call struct {
	Method string
	Type   string // of the body
	Body   []byte
	At     time.Time // of the answer
	Status int
	Answer []byte

	Args   args
	Result result
}

// args is what the tests read of a call's body, of whichever method.
type args struct {
	ChatID    int64  `json:"chat_id"`
	MessageID int64  `json:"message_id"`
	Text      string `json:"text"`
	Caption   string `json:"caption"`
	Photo     string `json:"photo"`
	Video     string `json:"video"`
	Audio     string `json:"audio"`
	QueryID   string `json:"callback_query_id"`
	Markup    struct {
		Rows [][]button `json:"inline_keyboard"`
	} `json:"reply_markup"`
}

type button struct {
	Text string `json:"text"`
	Data string `json:"callback_data"`
}

// result is what the tests read of an answer that carries a message.
type result struct {
	MessageID int64 `json:"message_id"`
	Photo     []struct {
		FileID string `json:"file_id"`
	} `json:"photo"`
}

// taken reports that tg-mock accepted the call.
func (c call) taken() bool {
	var a struct {
		OK bool `json:"ok"`
	}
	return c.Status == http.StatusOK && json.Unmarshal(c.Answer, &a) == nil && a.OK
}

// refusal returns what tg-mock refused the call with.
func (c call) refusal() refusal {
	var r refusal
	_ = json.Unmarshal(c.Answer, &r) // what cannot be read matches nothing that was scripted
	return r
}

// recorder stands between the bot and tg-mock and keeps every call.
type recorder struct {
	target string

	mu      sync.Mutex
	calls   []call
	changed chan struct{} // closed and replaced at every call
}

func newRecorder(target string) *recorder {
	return &recorder{target: target, changed: make(chan struct{})}
}

// ServeHTTP passes a call on. Its answer is recorded before the bot sees it. A
// call that the bot gives up, as its poll when it stops, is not recorded.
func (r *recorder) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	c, err := r.forward(req)
	if err != nil {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	if c.Method == "getUpdates" && c.taken() && bytes.Contains(c.Answer, []byte(`"result":[]`)) {
		hold(req.Context())
	}
	r.keep(c)
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(c.Status)
	_, _ = w.Write(c.Answer) // fails when the bot has gone
}

func hold(ctx context.Context) {
	select {
	case <-ctx.Done():
	case <-time.After(pollHold):
	}
}

func (r *recorder) forward(in *http.Request) (call, error) {
	c := call{Method: path.Base(in.URL.Path), Type: in.Header.Get("Content-Type")}
	var err error
	if c.Body, err = io.ReadAll(in.Body); err != nil {
		return c, err
	}
	ask := r.ask
	if c.Method == "sendMediaGroup" {
		ask = r.askAlbum
	}
	c.Status, c.Answer, err = ask(in.Context(), in.URL.Path, c.Type, c.Body)
	c.At = time.Now()
	c.read()
	return c, err
}

func (r *recorder) ask(ctx context.Context, path, contentType string, body []byte) (status int, answer []byte, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, r.target+path, bytes.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	req.Header.Set("Content-Type", contentType)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	answer, err = io.ReadAll(resp.Body)
	return resp.StatusCode, answer, err
}

// read fills in what the tests look at. What cannot be read stays empty; the
// judge reports it.
func (c *call) read() {
	var a struct {
		Result result `json:"result"`
	}
	_ = json.Unmarshal(c.Body, &c.Args)
	_ = json.Unmarshal(c.Answer, &a) // most results are no messages
	c.Result = a.Result
}

func (r *recorder) keep(c call) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.calls = append(r.calls, c)
	close(r.changed)
	r.changed = make(chan struct{})
}

// all returns the calls so far and a channel that is closed at the next one.
func (r *recorder) all() ([]call, <-chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.calls), r.changed
}

// of returns the calls of one method so far.
func (r *recorder) of(method string) []call {
	calls, _ := r.all()
	return only(calls, method)
}

func only(calls []call, method string) []call {
	return slices.DeleteFunc(slices.Clone(calls), func(c call) bool { return c.Method != method })
}

// wait returns once the calls fit.
func (r *recorder) wait(t *testing.T, what string, fits func([]call) bool) {
	t.Helper()
	deadline := time.After(patience)
	for {
		calls, changed := r.all()
		if fits(calls) {
			return
		}
		select {
		case <-changed:
		case <-deadline:
			t.Fatalf("%s did not come; the bot has called:\n%s", what, transcript(calls))
		}
	}
}

// transcript renders calls for failure messages, polls left out.
func transcript(calls []call) string {
	var b bytes.Buffer
	for _, c := range calls {
		if c.Method != "getUpdates" || !c.taken() {
			b.WriteString(c.Method + " " + string(c.Body) + "\n  → " + string(bytes.TrimSpace(c.Answer)) + "\n")
		}
	}
	return b.String()
}
