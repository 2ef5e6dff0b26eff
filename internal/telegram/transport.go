package telegram

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"mime/multipart"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/PaulSonOfLars/gotgbot/v2"
)

const (
	callTimeout   = 15 * time.Second
	fetchTimeout  = time.Minute // Telegram gets the file itself before it answers
	uploadTimeout = 2 * time.Minute
	maxAnswer     = 8 << 20 // bytes; getUpdates with 100 updates stays far below
)

// transport implements gotgbot.BotClient.
type transport struct {
	base    string
	client  *http.Client
	metrics *Metrics
}

var _ gotgbot.BotClient = (*transport)(nil)

// GetAPIURL returns the server's address.
func (t *transport) GetAPIURL(*gotgbot.RequestOpts) string { return t.base }

// FileURL returns a download address. It contains the token: never log it, never
// hand it to anybody.
func (t *transport) FileURL(token, path string, _ *gotgbot.RequestOpts) string {
	return t.base + "/file/bot" + token + "/" + path
}

// RequestWithContext makes one call and never repeats it.
func (t *transport) RequestWithContext(ctx context.Context, token, method string, params map[string]any, opts *gotgbot.RequestOpts) (json.RawMessage, error) {
	start := time.Now()
	result, err := t.request(ctx, token, method, params, opts)
	t.metrics.called(method, start, err)
	return result, err
}

func (t *transport) request(ctx context.Context, token, method string, params map[string]any, opts *gotgbot.RequestOpts) (json.RawMessage, error) {
	if opts != nil {
		maps.Copy(params, opts.OverrideParams)
	}
	upload := hasUpload(params)
	ctx, cancel := context.WithTimeout(ctx, deadline(method, params, opts, upload))
	defer cancel()

	body, contentType, err := encode(params, upload)
	if err != nil {
		return nil, &Error{Method: method, Outcome: NotSent, Description: "encode the call: " + err.Error()}
	}
	defer body.Close()

	var written atomic.Bool
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{WroteHeaders: func() { written.Store(true) }})
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, t.base+"/bot"+token+"/"+method, body)
	if err != nil {
		return nil, &Error{Method: method, Outcome: NotSent, Description: "the address of the Bot API server is not usable; check TELEGRAM_API_URL"}
	}
	req.Header.Set("Content-Type", contentType)
	resp, err := t.client.Do(req)
	if err != nil {
		outcome := NotSent
		if written.Load() {
			outcome = Unknown
		}
		return nil, &Error{Method: method, Outcome: outcome, Description: clean(err, token)}
	}
	defer resp.Body.Close()
	return answer(method, token, resp)
}

// deadline gives uploads and files by URL minutes, long polls their own wait and
// all else seconds.
func deadline(method string, params map[string]any, opts *gotgbot.RequestOpts, upload bool) time.Duration {
	switch wait, isPoll := params["timeout"].(int64); {
	case opts != nil && opts.Timeout > 0:
		return opts.Timeout
	case method == "getUpdates" && isPoll:
		return time.Duration(wait)*time.Second + callTimeout
	case upload:
		return uploadTimeout
	case sendsMedia(method):
		return fetchTimeout
	}
	return callTimeout
}

func sendsMedia(method string) bool {
	switch method {
	case "sendPhoto", "sendVideo", "sendAudio", "sendVoice", "sendDocument", "sendAnimation", "sendMediaGroup", "editMessageMedia":
		return true
	}
	return false
}

// answer reads Telegram's reply. What is no Bot API answer (a proxy's HTML page or
// JSON, a cut body) says nothing about the effect.
func answer(method, token string, resp *http.Response) (json.RawMessage, error) {
	raw, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return nil, &Error{Method: method, Outcome: Unknown, Code: resp.StatusCode, Description: clean(err, token)}
	}
	var r gotgbot.Response
	if err := json.Unmarshal(raw, &r); err != nil || !r.Ok && r.ErrorCode == 0 {
		kind := strings.ReplaceAll(resp.Header.Get("Content-Type"), token, "***")
		return nil, &Error{Method: method, Outcome: Unknown, Code: resp.StatusCode,
			Description: fmt.Sprintf("the answer is no Bot API JSON (%d bytes of %s)", len(raw), kind)}
	}
	if r.Ok {
		return r.Result, nil
	}
	e := &Error{Method: method, Outcome: Refused, Code: r.ErrorCode, Description: unquoted(strings.ReplaceAll(r.Description, token, "***"))}
	if e.Code >= http.StatusInternalServerError {
		e.Outcome = Unknown
	}
	if p := r.Parameters; p != nil {
		e.RetryAfter, e.MigrateTo = time.Duration(p.RetryAfter)*time.Second, p.MigrateToChatId
	}
	if e.Code == http.StatusTooManyRequests && e.RetryAfter == 0 {
		seconds, err := strconv.Atoi(resp.Header.Get("Retry-After"))
		e.RetryAfter = time.Second
		if err == nil && seconds > 0 {
			e.RetryAfter = time.Duration(seconds) * time.Second
		}
	}
	return nil, e
}

// unquoted drops what Telegram quotes: it is what people wrote.
func unquoted(description string) string {
	return regexp.MustCompile(`"[^"]*"`).ReplaceAllString(description, `"…"`)
}

// clean returns what failed without the address, which contains the token.
func clean(err error, token string) string {
	if u, ok := errors.AsType[*url.Error](err); ok {
		err = u.Err
	}
	return strings.ReplaceAll(err.Error(), token, "***")
}

// hasUpload reports that a parameter holds bytes to send, not only a reference.
func hasUpload(params map[string]any) bool {
	for _, v := range params {
		if isUpload(v) {
			return true
		}
	}
	return false
}

func isUpload(v any) bool {
	switch m := v.(type) {
	case *gotgbot.FileReader:
		return m != nil && m.Data != nil
	case gotgbot.InputMedias:
		for _, item := range m {
			if isUpload(item) {
				return true
			}
		}
	case gotgbot.InputMedia:
		return isUpload(m.GetMedia())
	}
	return false
}

func isNil(v any) bool {
	if v == nil {
		return true
	}
	r := reflect.ValueOf(v)
	switch r.Kind() {
	case reflect.Pointer, reflect.Interface, reflect.Map, reflect.Slice:
		return r.IsNil()
	default:
		return false
	}
}

func encode(params map[string]any, upload bool) (io.ReadCloser, string, error) {
	present := make(map[string]any, len(params))
	for k, v := range params {
		if !isNil(v) {
			present[k] = v
		}
	}
	if upload {
		return stream(present)
	}
	raw, err := json.Marshal(present)
	if err != nil {
		return nil, "", err
	}
	return io.NopCloser(bytes.NewReader(raw)), "application/json", nil
}

// stream writes a multipart body while it is read, so that a file is never held
// in memory. Closing the reader ends the writer.
func stream(params map[string]any) (io.ReadCloser, string, error) {
	pr, pw := io.Pipe()
	w := multipart.NewWriter(pw)
	go func() {
		err := writeParts(w, params)
		if err == nil { // a form that is closed after a failure would look whole
			err = w.Close()
		}
		pw.CloseWithError(err)
	}()
	return pr, w.FormDataContentType(), nil
}

func writeParts(w *multipart.Writer, params map[string]any) error {
	for k, v := range params {
		if a, ok := v.(gotgbot.Attach); ok && isUpload(v) {
			if err := a.Attach(k, w); err != nil {
				return fmt.Errorf("attach %s: %w", k, err)
			}
			if _, single := v.(*gotgbot.FileReader); single {
				continue // the part itself is the parameter
			}
		}
		text, err := field(v)
		if err != nil {
			return fmt.Errorf("encode %s: %w", k, err)
		}
		if err := w.WriteField(k, text); err != nil {
			return fmt.Errorf("write %s: %w", k, err)
		}
	}
	return nil
}

// field renders a parameter as the Bot API wants it in a form: strings as they
// are, all else as JSON.
func field(v any) (string, error) {
	if s, ok := v.(string); ok {
		return s, nil
	}
	raw, err := json.Marshal(v)
	if err != nil {
		return "", err
	}
	var s string
	if json.Unmarshal(raw, &s) == nil { // a named string type or a file reference
		return s, nil
	}
	return string(raw), nil
}
