package telegramsim_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"kiosk/internal/simulator/telegramsim"
)

const token = "7000000001:AAtest-token"

// sim is a simulator behind real HTTP.
type sim struct {
	*telegramsim.Server
	t   *testing.T
	url string
}

func newSim(t *testing.T, change ...func(*telegramsim.Config)) *sim {
	t.Helper()
	cfg := telegramsim.Config{Token: token, RetryBase: 20 * time.Millisecond}
	for _, c := range change {
		c(&cfg)
	}
	server, err := telegramsim.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	front := httptest.NewServer(server)
	server.SetBaseURL(front.URL)
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
		front.Close()
	})
	return &sim{server, t, front.URL}
}

// user makes a user who has written to the bot, without leaving an update behind for the test to trip over.
func (s *sim) user() telegramsim.User {
	s.t.Helper()
	u := s.NewUser("Ada", "en")
	if _, err := s.SendText(u.ID, "/start"); err != nil {
		s.t.Fatal(err)
	}
	return u
}

type answer struct {
	OK          bool            `json:"ok"`
	Result      json.RawMessage `json:"result"`
	ErrorCode   int             `json:"error_code"`
	Description string          `json:"description"`
	Parameters  struct {
		RetryAfter int `json:"retry_after"`
	} `json:"parameters"`
	status int
}

func (s *sim) call(method string, params any) answer {
	s.t.Helper()
	body, err := json.Marshal(params)
	if err != nil {
		s.t.Fatal(err)
	}
	a, err := s.post("/bot"+token+"/"+method, "application/json", bytes.NewReader(body))
	if err != nil {
		s.t.Fatalf("%s: %v", method, err)
	}
	return a
}

func (s *sim) post(path, contentType string, body io.Reader) (answer, error) {
	response, err := http.Post(s.url+path, contentType, body)
	if err != nil {
		return answer{}, err
	}
	defer response.Body.Close()
	a := answer{status: response.StatusCode}
	data, err := io.ReadAll(response.Body)
	if err != nil {
		return a, err
	}
	if err := json.Unmarshal(data, &a); err != nil {
		return a, fmt.Errorf("%d %s: %w", response.StatusCode, data, err)
	}
	return a, nil
}

// must is call for what has to work; it decodes the result.
func (s *sim) must(method string, params, result any) {
	s.t.Helper()
	a := s.call(method, params)
	if !a.OK {
		s.t.Fatalf("%s: %d %s", method, a.ErrorCode, a.Description)
	}
	if result != nil {
		if err := json.Unmarshal(a.Result, result); err != nil {
			s.t.Fatalf("%s: decode %s: %v", method, a.Result, err)
		}
	}
}

func (s *sim) send(params obj) telegramsim.Message {
	s.t.Helper()
	var m telegramsim.Message
	s.must("sendMessage", params, &m)
	return m
}

// refused checks the code and the start of the description.
func (s *sim) refused(method string, params any, code int, description string) {
	s.t.Helper()
	a := s.call(method, params)
	if a.OK || a.ErrorCode != code || a.status != code || !strings.HasPrefix(a.Description, description) {
		s.t.Errorf("%s: got %d %d %q, want %d %q", method, a.status, a.ErrorCode, a.Description, code, description)
	}
}

// upload calls a method with files in multipart form.
func (s *sim) upload(path string, fields map[string]string, files ...formFile) answer {
	s.t.Helper()
	body, contentType := form(s.t, fields, files)
	a, err := s.post(path, contentType, body)
	if err != nil {
		s.t.Fatal(err)
	}
	return a
}

// control makes a control call and decodes the answer.
func (s *sim) control(method, path string, body, result any) int {
	s.t.Helper()
	data, err := json.Marshal(body)
	if err != nil {
		s.t.Fatal(err)
	}
	request, err := http.NewRequestWithContext(s.t.Context(), method, s.url+path, bytes.NewReader(data))
	if err != nil {
		s.t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		s.t.Fatal(err)
	}
	defer response.Body.Close()
	if result != nil {
		if err := json.NewDecoder(response.Body).Decode(result); err != nil {
			s.t.Fatalf("%s %s: %v", method, path, err)
		}
	}
	return response.StatusCode
}

type obj = map[string]any

type formFile struct {
	field, name string
	data        []byte
}

func keyboard(rows ...[]obj) obj { return obj{"inline_keyboard": rows} }

func picture(width, height int) []byte {
	img := image.NewRGBA(image.Rect(0, 0, width, height))
	for y := range height {
		for x := range width {
			img.Set(x, y, color.RGBA{uint8(x * 255 / width), uint8(y * 255 / height), 160, 255})
		}
	}
	var out bytes.Buffer
	if err := png.Encode(&out, img); err != nil {
		panic(err)
	}
	return out.Bytes()
}

// bot is a webhook that records what it gets and answers as told.
type bot struct {
	*httptest.Server
	mu       sync.Mutex
	got      []delivered
	arrived  chan struct{}
	answerTo func(delivered, http.ResponseWriter)
}

type delivered struct {
	header http.Header
	raw    []byte
	update struct {
		ID          int64                          `json:"update_id"`
		Message     *telegramsim.Message           `json:"message"`
		Callback    *telegramsim.CallbackQuery     `json:"callback_query"`
		PreCheckout *telegramsim.PreCheckoutQuery  `json:"pre_checkout_query"`
		Member      *telegramsim.ChatMemberUpdated `json:"my_chat_member"`
	}
	number int // of this arrival, from 1
}

// newBot serves a webhook; answerTo may be nil for 200. It is not called concurrently with itself holding locks.
func newBot(t *testing.T, answerTo func(delivered, http.ResponseWriter)) *bot {
	b := &bot{arrived: make(chan struct{}, 1000), answerTo: answerTo}
	b.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		raw, _ := io.ReadAll(r.Body)
		d := delivered{header: r.Header.Clone(), raw: raw}
		if err := json.Unmarshal(raw, &d.update); err != nil {
			t.Errorf("update %s: %v", raw, err)
		}
		b.mu.Lock()
		b.got = append(b.got, d)
		d.number = len(b.got)
		b.mu.Unlock()
		b.arrived <- struct{}{}
		if b.answerTo != nil {
			b.answerTo(d, w)
		}
	}))
	t.Cleanup(b.Close)
	return b
}

func (b *bot) all() []delivered {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]delivered(nil), b.got...)
}

// wait returns the first n deliveries.
func (b *bot) wait(t *testing.T, n int) []delivered {
	t.Helper()
	ctx := short(t)
	for {
		if got := b.all(); len(got) >= n {
			return got[:n]
		}
		select {
		case <-b.arrived:
		case <-ctx.Done():
			t.Fatalf("got %d deliveries, want %d", len(b.all()), n)
		}
	}
}

func short(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}
