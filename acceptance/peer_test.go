package acceptance_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"strconv"
	"sync"
	"testing"
	"time"
)

// patience bounds every wait for an event. Reaching it fails the test.
const patience = 40 * time.Second

// peer is a running tg-mock.
type peer struct {
	t   *testing.T
	url string
}

// starting makes peers start one after another: a port that is free for one must
// be taken before the next one looks.
var starting sync.Mutex

// startPeer starts a tg-mock that ends with the test.
func startPeer(t *testing.T) *peer {
	t.Helper()
	starting.Lock()
	defer starting.Unlock()
	for range 5 {
		port := strconv.Itoa(freePort(t))
		p := &peer{t, "http://127.0.0.1:" + port}
		if p.run(port) {
			return p
		}
	}
	t.Fatal("tg-mock does not start: see its output above")
	return nil
}

// freePort returns a port that is free now. tg-mock cannot be told to take any,
// so another process may be faster; then tg-mock ends, and another port is tried.
func freePort(t *testing.T) int {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", ":0") // on all addresses, as tg-mock will
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// run starts the process and reports whether it serves.
func (p *peer) run(port string) bool {
	p.t.Helper()
	cmd := exec.Command(program, "--port", port, "--faker-seed", "7") // ended below, after the bot
	cmd.Stdout, cmd.Stderr = p.t.Output(), p.t.Output()
	cmd.SysProcAttr = diesWithUs()
	if err := cmd.Start(); err != nil {
		p.t.Fatalf("start tg-mock: %v", err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = cmd.Wait() // killed, or it has said on stderr why it ended
	}()
	p.t.Cleanup(func() {
		_ = cmd.Process.Kill() // fails when it has ended before
		<-ended
	})
	return p.serves(ended)
}

func (p *peer) serves(ended <-chan struct{}) bool {
	p.t.Helper()
	deadline := time.After(patience)
	for {
		healthy := p.try(http.MethodGet, "/health", nil, nil) == nil
		select {
		case <-ended:
			return false
		case <-deadline:
			p.t.Fatal("tg-mock does not answer")
		case <-time.After(10 * time.Millisecond):
			if healthy {
				return true
			}
		}
	}
}

// update makes tg-mock hand out an update. It gives it an id of its own.
func (p *peer) update(u map[string]any) {
	p.t.Helper()
	p.control(http.MethodPost, "/__control/updates", u, nil)
}

// pending counts the updates that the bot has not acknowledged.
func (p *peer) pending() int {
	p.t.Helper()
	var state struct {
		Pending int `json:"updates_pending"`
	}
	p.control(http.MethodGet, "/__control/state", nil, &state)
	return state.Pending
}

// fault is what tg-mock answers instead of its own answer.
type fault struct {
	Method   string  `json:"method"`
	Times    int     `json:"times"` // 0 means for ever
	Response refusal `json:"response"`
}

type refusal struct {
	Code        int    `json:"error_code"`
	Description string `json:"description"`
	RetryAfter  int    `json:"retry_after,omitempty"`
}

func (p *peer) script(f fault) {
	p.t.Helper()
	p.control(http.MethodPost, "/__control/scenarios", f, nil)
}

func (p *peer) control(method, path string, send, receive any) {
	p.t.Helper()
	if err := p.try(method, path, send, receive); err != nil {
		p.t.Fatalf("%s %s: %v", method, path, err)
	}
}

func (p *peer) try(method, path string, send, receive any) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	body, err := json.Marshal(send)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, method, p.url+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode >= http.StatusMultipleChoices {
		return fmt.Errorf("%d %s", resp.StatusCode, answer)
	}
	if receive == nil {
		return nil
	}
	return json.Unmarshal(answer, receive)
}
