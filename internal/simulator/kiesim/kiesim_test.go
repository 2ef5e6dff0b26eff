package kiesim_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"kiosk/internal/simulator/kiesim"
)

const (
	apiKey  = "test-key"
	hmacKey = "webhook-secret"
)

// account is a client of a running simulator.
type account struct {
	t   *testing.T
	sim *kiesim.Server
	url string
}

type answer struct {
	Code int             `json:"code"`
	Msg  string          `json:"msg"`
	Data json.RawMessage `json:"data"`
}

type record struct {
	TaskID          string          `json:"taskId"`
	Model           string          `json:"model"`
	State           kiesim.State    `json:"state"`
	Param           string          `json:"param"`
	ResultJSON      *string         `json:"resultJson"`
	Response        json.RawMessage `json:"response"`
	SuccessFlag     int             `json:"successFlag"`
	FailCode        *string         `json:"failCode"`
	FailMsg         *string         `json:"failMsg"`
	CostTime        *int64          `json:"costTime"`
	CompleteTime    *int64          `json:"completeTime"`
	CreateTime      int64           `json:"createTime"`
	CreditsConsumed float64         `json:"creditsConsumed"`
}

func quick(string) time.Duration { return 20 * time.Millisecond }

// start runs a simulator under /kie, as `kiosk dev` does. Options may change the configuration.
func start(t *testing.T, options ...func(*kiesim.Config)) account {
	t.Helper()
	cfg := kiesim.Config{APIKey: apiKey, HMACKey: hmacKey, Duration: quick, Backoff: time.Millisecond, NoRateLimit: true}
	for _, option := range options {
		option(&cfg)
	}
	sim, err := kiesim.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(http.StripPrefix("/kie", sim))
	t.Cleanup(func() {
		if err := sim.Close(); err != nil {
			t.Error(err)
		}
		server.Close()
	})
	sim.SetBaseURL(server.URL + "/kie")
	return account{t: t, sim: sim, url: server.URL + "/kie"}
}

// do sends a request with the key and returns the status and the body.
func (a account) do(method, path string, body any) (int, []byte) {
	a.t.Helper()
	status, data, err := a.try(method, path, body)
	if err != nil {
		a.t.Fatal(err)
	}
	return status, data
}

func (a account) try(method, path string, body any) (int, []byte, error) {
	a.t.Helper()
	var r io.Reader
	if body != nil {
		data, err := json.Marshal(body)
		if err != nil {
			a.t.Fatal(err)
		}
		r = bytes.NewReader(data)
	}
	req, err := http.NewRequestWithContext(a.t.Context(), method, a.url+path, r)
	if err != nil {
		a.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+apiKey)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	return resp.StatusCode, data, err
}

// call is do for answers in the envelope.
func (a account) call(method, path string, body any) answer {
	a.t.Helper()
	_, data := a.do(method, path, body)
	return decode[answer](a.t, data)
}

func (a account) create(model string, input any, callback string) answer {
	a.t.Helper()
	body := map[string]any{"model": model, "input": input}
	if callback != "" {
		body["callBackUrl"] = callback
	}
	return a.call(http.MethodPost, "/api/v1/jobs/createTask", body)
}

// mustCreate creates a task and returns its id.
func (a account) mustCreate(model string, input any, callback string) string {
	a.t.Helper()
	got := a.create(model, input, callback)
	if got.Code != 200 {
		a.t.Fatalf("create %s: code %d: %s", model, got.Code, got.Msg)
	}
	return decode[struct{ TaskID string }](a.t, got.Data).TaskID
}

func (a account) record(id string) record {
	a.t.Helper()
	got := a.call(http.MethodGet, "/api/v1/jobs/recordInfo?taskId="+id, nil)
	if got.Code != 200 {
		a.t.Fatalf("record %s: code %d: %s", id, got.Code, got.Msg)
	}
	return decode[record](a.t, got.Data)
}

// ended polls a task until it has ended.
func (a account) ended(id string) record {
	a.t.Helper()
	for {
		rec := a.record(id)
		if rec.State == kiesim.StateSuccess || rec.State == kiesim.StateFail {
			return rec
		}
		select {
		case <-time.After(5 * time.Millisecond): // A poll interval: the wire offers no event.
		case <-a.t.Context().Done():
			a.t.Fatal(a.t.Context().Err())
		}
	}
}

// urls creates a task and returns the addresses of its results.
func (a account) urls(model string, input any) []string {
	a.t.Helper()
	rec := a.ended(a.mustCreate(model, input, ""))
	if rec.State != kiesim.StateSuccess {
		a.t.Fatalf("%s ended in %s: %v", model, rec.State, rec.FailMsg)
	}
	return decode[struct{ ResultURLs []string }](a.t, []byte(*rec.ResultJSON)).ResultURLs
}

func (a account) credits() float64 {
	a.t.Helper()
	return decode[float64](a.t, a.call(http.MethodGet, "/api/v1/chat/credit", nil).Data)
}

// waitFor waits until a call in the journal is accepted, and returns it.
func (a account) waitFor(accept func(kiesim.Call) bool) kiesim.Call {
	a.t.Helper()
	ctx, cancel := context.WithTimeout(a.t.Context(), 20*time.Second)
	defer cancel()
	var found kiesim.Call
	err := a.sim.WaitFor(ctx, func(calls []kiesim.Call) bool {
		for _, c := range calls {
			if accept(c) {
				found = c
				return true
			}
		}
		return false
	})
	if err != nil {
		a.t.Fatalf("no such call: %v\n%+v", err, a.sim.Calls())
	}
	return found
}

func get(t *testing.T, url string) (*http.Response, []byte) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, data
}

func decode[T any](t *testing.T, data []byte) T {
	t.Helper()
	var v T
	if err := json.Unmarshal(data, &v); err != nil {
		t.Fatalf("decode %s: %v", data, err)
	}
	return v
}

// delivery is one callback as it arrived.
type delivery struct {
	header http.Header
	code   int
	msg    string
	record record
}

// listen is a callback address. It answers each delivery with the next of the statuses, then with 200.
func listen(t *testing.T, statuses ...int) (url string, deliveries <-chan delivery) {
	t.Helper()
	got := make(chan delivery, 16)
	answers := make(chan int, len(statuses))
	for _, s := range statuses {
		answers <- s
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var env struct {
			Code int
			Msg  string
			Data record
		}
		if err := json.NewDecoder(r.Body).Decode(&env); err != nil {
			t.Errorf("callback body: %v", err)
		}
		got <- delivery{header: r.Header, code: env.Code, msg: env.Msg, record: env.Data}
		select {
		case status := <-answers:
			w.WriteHeader(status)
		default:
		}
	}))
	t.Cleanup(server.Close)
	return server.URL + "/hooks/kie", got
}

func receive(t *testing.T, deliveries <-chan delivery) delivery {
	t.Helper()
	select {
	case d := <-deliveries:
		return d
	case <-time.After(20 * time.Second):
		t.Fatal("no callback came")
		return delivery{}
	}
}
