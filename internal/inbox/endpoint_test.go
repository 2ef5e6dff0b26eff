package inbox_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"kiosk/internal/inbox"
)

const (
	secretHeader = "X-Secret"
	secret       = "open sesame"
	maxBody      = 64
)

// webhook is a server with one endpoint whose messages have their body as key.
type webhook struct {
	*house
	server *httptest.Server
}

func serve(t *testing.T) *webhook {
	t.Helper()
	h := open(t)
	return h.serve(inbox.Endpoint{
		Source:    source,
		MaxBody:   maxBody,
		Authorize: func(r *http.Request) bool { return r.Header.Get(secretHeader) == secret },
		Verify:    func(_ *http.Request, body []byte) bool { return !strings.HasPrefix(string(body), "forged") },
		Open: func(_ *http.Request, body []byte) inbox.Envelope {
			return inbox.Envelope{
				Source: "of somebody else", Body: []byte("of somebody else"), // the endpoint's own count
				Key: string(body), Lane: "lane", Undecodable: strings.HasPrefix(string(body), "{"),
			}
		},
	})
}

func (h *house) serve(e inbox.Endpoint) *webhook {
	h.t.Helper()
	s := httptest.NewServer(h.receiver().Handler(e))
	h.t.Cleanup(s.Close)
	return &webhook{house: h, server: s}
}

// answer is what a sender hears.
type answer struct {
	status     int
	retryAfter string
}

// post sends a message on a connection of its own.
func (w *webhook) post(secret, body string) (answer, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(w.t.Context()), patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, w.server.URL, strings.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	req.Close = true
	req.Header.Set(secretHeader, secret)
	resp, err := w.server.Client().Do(req)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, resp.Body)
	return answer{resp.StatusCode, resp.Header.Get("Retry-After")}, err
}

func (w *webhook) want(status int, secret, body string) answer {
	w.t.Helper()
	a, err := w.post(secret, body)
	w.must(err)
	if a.status != status {
		w.t.Errorf("%.40q was answered with %d, want %d", body, a.status, status)
	}
	return a
}

func (w *webhook) wantStored(n int) {
	w.t.Helper()
	if got := w.count(`SELECT count(*) FROM inbox_messages`); got != n {
		w.t.Errorf("%d messages are stored, want %d", got, n)
	}
}

// caller is a sender that controls every byte.
type caller struct {
	*webhook
	net.Conn
}

// call begins a request whose body will have the given length.
func (w *webhook) call(secret string, length int) caller {
	w.t.Helper()
	conn, err := net.Dial("tcp", w.server.Listener.Addr().String())
	w.must(err)
	w.t.Cleanup(func() { _ = conn.Close() })
	w.must(conn.SetDeadline(time.Now().Add(patience)))
	c := caller{w, conn}
	c.say(fmt.Sprintf("POST / HTTP/1.1\r\nHost: test\r\n%s: %s\r\nContent-Length: %d\r\n\r\n", secretHeader, secret, length))
	return c
}

func (c caller) say(text string) {
	c.t.Helper()
	_, err := io.WriteString(c.Conn, text)
	c.must(err)
}

func (c caller) status() int {
	c.t.Helper()
	resp, err := http.ReadResponse(bufio.NewReader(c.Conn), nil)
	c.must(err)
	defer resp.Body.Close()
	return resp.StatusCode
}

func TestHandler_StrangerIsRefusedBeforeTheBodyIsRead(t *testing.T) {
	t.Parallel()
	w := serve(t)
	stranger := w.call("guessed", 10) // and never sends the body
	if s := stranger.status(); s != http.StatusUnauthorized {
		t.Errorf("a wrong secret was answered with %d", s)
	}
	w.want(http.StatusUnauthorized, "", "no secret")
	w.wantStored(0)
}

func TestHandler_BodyWithAWrongSignatureIsRefused(t *testing.T) {
	t.Parallel()
	w := serve(t)
	w.want(http.StatusUnauthorized, secret, "forged message")
	w.wantStored(0)
}

func TestHandler_BodyOverTheLimitIsRefused(t *testing.T) {
	t.Parallel()
	w := serve(t)
	w.want(http.StatusRequestEntityTooLarge, secret, strings.Repeat("x", maxBody+1))
	w.wantStored(0)
	w.want(http.StatusOK, secret, strings.Repeat("x", maxBody))
	w.wantStored(1)
}

func TestHandler_StoresWhatTheEndpointKnowsAndTheBodyAsItCame(t *testing.T) {
	t.Parallel()
	w := serve(t)
	const body = "\x00\xff not text"
	h := w.serve(inbox.Endpoint{
		Source: source, MaxBody: maxBody, // without Verify
		Authorize: func(*http.Request) bool { return true },
		Open: func(*http.Request, []byte) inbox.Envelope {
			return inbox.Envelope{Source: "other", Key: "7", Lane: "lane", Queue: "queue", Position: 3, Body: []byte("other")}
		},
	})
	h.want(http.StatusOK, "", body)
	same := h.count(`SELECT count(*) FROM inbox_messages WHERE source = $1 AND key = '7' AND lane = 'lane'
		AND queue = 'queue' AND position = 3 AND body = $2 AND state = 'pending' AND attempts = 0`, source, []byte(body))
	if same != 1 {
		t.Error("the message was stored in another way than it came")
	}
}

func TestHandler_AnswersOnlyAfterTheCommit(t *testing.T) {
	t.Parallel()
	w := serve(t)
	unlock := w.lockTable()
	answers := make(chan answer, 1)
	go func() {
		a, err := w.post(secret, "one")
		if err != nil {
			t.Error(err)
		}
		answers <- a
	}()
	w.awaitBlocked(1)
	select {
	case a := <-answers:
		t.Errorf("answered with %d before the commit", a.status)
	default:
	}
	unlock()
	if a := receive(t, answers, "the answer"); a.status != http.StatusOK {
		t.Errorf("answered with %d after the commit", a.status)
	}
	w.wantStored(1)
}

func TestHandler_WhatCannotBeCommittedIsToBeRepeated(t *testing.T) {
	t.Parallel()
	w := serve(t)
	w.exec(`CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
		$$ BEGIN RAISE EXCEPTION 'no space left' USING ERRCODE = 'disk_full'; END $$`)
	w.exec(`CREATE CONSTRAINT TRIGGER refuse AFTER INSERT ON inbox_messages
		DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION refuse()`) // refuses the commit
	a := w.want(http.StatusServiceUnavailable, secret, "one")
	if a.retryAfter != "1" {
		t.Errorf("Retry-After is %q", a.retryAfter)
	}
	w.wantStored(0)
	w.exec(`DROP TRIGGER refuse ON inbox_messages`)
	w.want(http.StatusOK, secret, "one")
	w.wantStored(1)
}

func TestHandler_ManyRepetitionsAtOnceAreOneMessage(t *testing.T) {
	t.Parallel()
	w := serve(t)
	var senders sync.WaitGroup
	begin := make(chan struct{})
	for range 64 {
		senders.Go(func() {
			<-begin
			if a, err := w.post(secret, "the same"); err != nil || a.status != http.StatusOK {
				t.Errorf("answered with %d, %v", a.status, err)
			}
		})
	}
	close(begin)
	senders.Wait()
	w.wantStored(1)
}

func TestHandler_SlowBodyHoldsUpNobodyAndIsStoredWhole(t *testing.T) {
	t.Parallel()
	w := serve(t)
	slow := w.call(secret, len("slow body"))
	slow.say("slow ")
	w.want(http.StatusOK, secret, "quick body")
	w.wantStored(1)
	slow.say("body")
	if s := slow.status(); s != http.StatusOK {
		t.Errorf("the slow body was answered with %d", s)
	}
	if n := w.count(`SELECT count(*) FROM inbox_messages WHERE body = 'slow body'`); n != 1 {
		t.Error("the slow body was not stored whole")
	}
}

func TestHandler_CutBodyIsNotStored(t *testing.T) {
	t.Parallel()
	w := serve(t)
	cut := w.call(secret, len("cut body"))
	cut.say("cut")
	w.must(cut.Conn.(*net.TCPConn).CloseWrite())
	if s := cut.status(); s != http.StatusBadRequest {
		t.Errorf("a cut body was answered with %d", s)
	}
	w.wantStored(0)
}

func TestHandler_UndecodableIsAcknowledgedKeptAndHandedToNobody(t *testing.T) {
	t.Parallel()
	w := serve(t)
	calls := record(nil)
	w.want(http.StatusOK, secret, "{broken")
	w.want(http.StatusOK, secret, "{broken") // a repetition
	w.want(http.StatusOK, secret, "whole")
	p := w.process(w.elect("one", ""), calls.handler())
	w.awaitDone(1)
	p.Wake()
	w.want(http.StatusOK, secret, "whole, too")
	p.Wake()
	w.awaitDone(2)
	if keys := calls.keys(t, 2); keys[0] != "whole" || keys[1] != "whole, too" || len(calls.calls) > 0 {
		t.Errorf("handled %v and %d more", keys, len(calls.calls))
	}
	stats, err := inbox.ReadStats(t.Context(), w.pool)
	w.must(err)
	if stats.Undecodable != 1 || stats.Pending != 0 {
		t.Errorf("the inbox counts %+v", stats)
	}
	if n := w.count(`SELECT count(*) FROM inbox_messages WHERE state = 'undecodable' AND body = '{broken'`); n != 1 {
		t.Errorf("%d undecodable messages are kept, want 1", n)
	}
}
