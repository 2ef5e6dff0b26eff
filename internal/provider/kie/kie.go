// Package kie runs models at KIE.ai over its jobs API.
//
// What its documentation and traffic say, and this client relies on: most
// failures come as HTTP 200 with a code in the body; a create has no
// idempotency key and no list endpoint, so an unreadable answer to it is an
// unknown outcome; resultJson is a JSON string; numbers may come as strings; a
// task is not visible for some seconds after its creation (code 422).
//
// The client uses KIE's limits (20 creates in 10 s and 10 reads a second per
// account) and keeps them on its own, never repeats a call, and shows its key to nobody else.
package kie

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"kiosk/internal/provider"
)

// KIE's own addresses.
const (
	DefaultURL       = "https://api.kie.ai"
	DefaultUploadURL = "https://kieai.redpandaai.co"
)

const (
	callTimeout = 30 * time.Second
	maxAnswer   = 4 << 20 // bytes
)

// Client is a provider.Provider.
type Client struct {
	base    string
	uploads string
	key     string
	http    *http.Client
	creates *window
	reads   *rate.Limiter
	record  provider.Recorder
}

var _ provider.Provider = (*Client)(nil)

// Option changes a client.
type Option func(*Client)

// UploadURL sends files to another server than KIE's own.
func UploadURL(address string) Option {
	return func(c *Client) { c.uploads = strings.TrimSuffix(address, "/") }
}

// Measure records the client's calls.
func Measure(m *provider.Metrics) Option {
	return func(c *Client) { c.record = m.Of("kie") }
}

// New returns a client of the API at baseURL. It makes no call itself.
func New(baseURL, key string, options ...Option) (*Client, error) {
	if key == "" {
		return nil, errors.New("kie: the API key is empty")
	}
	if u, err := url.Parse(baseURL); err != nil || u.Host == "" {
		return nil, fmt.Errorf("kie: the address %q is no URL; check KIE_API_URL", baseURL)
	}
	c := &Client{
		base: strings.TrimSuffix(baseURL, "/"), uploads: DefaultUploadURL, key: key,
		http:    &http.Client{Transport: newConnections(), Timeout: callTimeout, CheckRedirect: notFollowed},
		creates: newWindow(20, 10*time.Second),
		reads:   rate.NewLimiter(8, 2), // in any second at most 2 + 8
	}
	Measure(provider.NewMetrics(nil))(c)
	for _, o := range options {
		o(c)
	}
	return c, nil
}

// notFollowed keeps a redirect from repeating a call, and the key at one address.
func notFollowed(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// mask hides the key in texts of others: a server may quote what it was sent.
func (c *Client) mask(text string) string { return strings.ReplaceAll(text, c.key, "***") }

// envelope is the frame of every answer.
type envelope struct {
	Code number          `json:"code"`
	Msg  string          `json:"msg"`
	Data json.RawMessage `json:"data"`
}

// Submit creates a task. An answer that cannot be read, an HTTP 5xx and a lost
// connection are unknown outcomes; a code in a body that KIE itself wrote is a
// refusal, except for 500, which says nothing about whether the task was made.
func (c *Client) Submit(ctx context.Context, r provider.Request) (string, error) {
	if err := c.creates.enter(ctx); err != nil {
		return "", &provider.Error{Outcome: provider.Refused, Cause: provider.Unreachable, Message: "no time left to wait for the rate limit", After: time.Second}
	}
	defer c.creates.leave()
	body := map[string]any{"model": r.Model, "input": r.Input}
	if r.Callback != "" {
		body["callBackUrl"] = r.Callback
	}
	data, err := c.call(ctx, http.MethodPost, "createTask", "/api/v1/jobs/createTask", body)
	if err != nil {
		return "", err
	}
	var created struct {
		TaskID string `json:"taskId"`
	}
	if err := json.Unmarshal(data, &created); err != nil || created.TaskID == "" {
		return "", &provider.Error{Outcome: provider.Unknown, Cause: provider.NoAnswer, Code: 200, Message: "accepted without a task id"}
	}
	return created.TaskID, nil
}

// Fetch reads a task's record.
func (c *Client) Fetch(ctx context.Context, taskID string) (provider.Task, error) {
	if err := c.reads.Wait(ctx); err != nil {
		return provider.Task{}, &provider.Error{Outcome: provider.Refused, Cause: provider.Unreachable, Message: "no time left to wait for the rate limit", After: time.Second}
	}
	data, err := c.call(ctx, http.MethodGet, "recordInfo", "/api/v1/jobs/recordInfo?taskId="+url.QueryEscape(taskID), nil)
	if err != nil {
		e := provider.AsError(err)
		if e.Code == 422 || e.Code == 404 { // "recordInfo is null": unknown, or not visible yet
			e.Cause = provider.NotFound
		}
		return provider.Task{}, e
	}
	t, err := readTask(taskID, data)
	t.Message = c.mask(t.Message)
	return t, err
}

// Credits returns what is left on the operator's account; one is worth half a
// US cent.
func (c *Client) Credits(ctx context.Context) (float64, error) {
	data, err := c.call(ctx, http.MethodGet, "credit", "/api/v1/chat/credit", nil)
	if err != nil {
		return 0, err
	}
	var left float64
	if err := json.Unmarshal(bytes.Trim(data, `"`), &left); err != nil {
		return 0, &provider.Error{Outcome: provider.Unknown, Cause: provider.NoAnswer, Code: http.StatusOK, Message: "the credits are no number"}
	}
	c.record.Credits(left)
	return left, nil
}

// call makes one request, records it and returns the envelope's data.
func (c *Client) call(ctx context.Context, method, op, path string, body any) (json.RawMessage, error) {
	start := time.Now()
	data, err := c.request(ctx, method, path, body)
	c.record.Called(op, start, err)
	return data, err
}

func (c *Client) request(ctx context.Context, method, path string, body any) (json.RawMessage, error) {
	var payload io.Reader
	if body != nil {
		raw, err := json.Marshal(body)
		if err != nil {
			return nil, &provider.Error{Cause: provider.BadInput, Message: "encode the request: " + err.Error()}
		}
		payload = bytes.NewReader(raw)
	}
	var written atomic.Bool
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{WroteHeaders: func() { written.Store(true) }})
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, payload)
	if err != nil {
		return nil, &provider.Error{Cause: provider.Unreachable, Message: "build the request: " + err.Error()}
	}
	req.Header.Set("Authorization", "Bearer "+c.key)
	req.Header.Set("Content-Type", "application/json")
	resp, err := c.http.Do(req)
	if err != nil {
		e := notAnswered(err, written.Load())
		e.Message = c.mask(e.Message)
		return nil, e
	}
	defer resp.Body.Close()
	data, e := readAnswer(resp)
	if e != nil {
		e.Message = c.mask(e.Message)
		return nil, e
	}
	return data, nil
}

func notAnswered(err error, written bool) *provider.Error {
	if u, ok := errors.AsType[*url.Error](err); ok {
		err = u.Err
	}
	if !written {
		return &provider.Error{Outcome: provider.Refused, Cause: provider.Unreachable, Message: err.Error(), After: 5 * time.Second}
	}
	return &provider.Error{Outcome: provider.Unknown, Cause: provider.NoAnswer, Message: err.Error(), After: 5 * time.Second}
}

func readAnswer(resp *http.Response) (json.RawMessage, *provider.Error) {
	raw, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	var e envelope
	if err == nil {
		err = json.Unmarshal(raw, &e)
	}
	if err != nil || e.Code == 0 {
		if resp.StatusCode >= 400 && resp.StatusCode < 500 {
			return nil, refusal(resp.StatusCode, http.StatusText(resp.StatusCode))
		}
		return nil, &provider.Error{Outcome: provider.Unknown, Cause: provider.NoAnswer, Code: resp.StatusCode,
			Message: fmt.Sprintf("the answer is no KIE JSON (%d bytes of %s)", len(raw), resp.Header.Get("Content-Type")), After: 5 * time.Second}
	}
	if e.Code != 200 {
		return nil, refusal(int(e.Code), e.Msg)
	}
	return e.Data, nil
}

// refusal classifies a code that KIE wrote.
func refusal(code int, msg string) *provider.Error {
	e := &provider.Error{Outcome: provider.Refused, Cause: provider.BadInput, Code: code, Message: msg}
	switch code {
	case 401:
		e.Cause = provider.BadKey
	case 402, 433:
		e.Cause = provider.NoCredits
	case 405, 429, 430:
		e.Cause, e.After = provider.RateLimited, 10*time.Second
	case 455:
		e.Cause, e.After = provider.Maintenance, time.Minute
	case 505:
		e.Cause = provider.Disabled
	case 500, 408, 501, 531, 550:
		e.Cause, e.After = provider.Broken, 10*time.Second
		if code == 500 {
			e.Outcome = provider.Unknown
			refusedAs500(e)
		}
	case 400, 422:
		if isModeration(msg) {
			e.Cause = provider.Moderation
		}
	default:
		if code > 500 && code < 600 { // not documented; as little known as after a 500
			e.Outcome, e.Cause, e.After = provider.Unknown, provider.Broken, 10*time.Second
		}
	}
	return e
}

// refusedAs500 recognises the refusals that KIE sends with code 500 although
// nothing was created (seen in recorded traffic): an empty account, and fields
// that it does not take.
func refusedAs500(e *provider.Error) {
	msg := strings.ToLower(e.Message)
	switch {
	case strings.Contains(msg, "credits insufficient"):
		e.Outcome, e.Cause, e.After = provider.Refused, provider.NoCredits, 0
	case strings.Contains(msg, "allowed options"), strings.Contains(msg, "is required"):
		e.Outcome, e.Cause, e.After = provider.Refused, provider.BadInput, 0
	}
}

// number reads a JSON number that may come as a string.
type number int

// UnmarshalJSON accepts 200 and "200"; anything else counts as 0.
func (n *number) UnmarshalJSON(raw []byte) error {
	var v json.Number
	if json.Unmarshal(bytes.Trim(raw, `"`), &v) == nil {
		i, _ := v.Int64() // what is no whole number counts as 0
		*n = number(i)
	}
	return nil
}
