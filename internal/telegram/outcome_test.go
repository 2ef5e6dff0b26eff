package telegram_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/PaulSonOfLars/gotgbot/v2"

	"kiosk/internal/telegram"
)

// ended is what became of a call.
type ended struct {
	outcome telegram.Outcome
	code    int
	after   time.Duration
	words   string // somewhere in the error's text
}

const (
	blocked = `{"ok":false,"error_code":403,"description":"Forbidden: bot was blocked by the user"}`
	badText = `{"ok":false,"error_code":400,"description":"Bad Request: message text is empty"}`
	flood   = `{"ok":false,"error_code":429,"description":"Too Many Requests: retry after 7","parameters":{"retry_after":7}}`
	bare429 = `{"ok":false,"error_code":429,"description":"Too Many Requests"}`
	broken  = `{"ok":false,"error_code":500,"description":"Internal Server Error: restart"}`
	moved   = `{"ok":false,"error_code":400,"description":"Bad Request: group chat was upgraded to a supergroup chat",` +
		`"parameters":{"migrate_to_chat_id":-1001234567890}}`
	page = "<html><head><title>502 Bad Gateway</title></head></html>"
)

func TestCall_OutcomeOfEveryAnswer(t *testing.T) {
	t.Parallel()
	html := http.Header{"Content-Type": {"text/html"}}
	in7 := http.Header{"Retry-After": {"7"}}
	for name, c := range map[string]struct {
		status int
		header http.Header
		body   string
		want   ended
	}{
		"ok":                 {200, nil, `{"ok":true,"result":{"message_id":1}}`, ended{}},
		"400":                {400, nil, badText, ended{telegram.Refused, 400, 0, "message text is empty"}},
		"403":                {403, nil, blocked, ended{telegram.Refused, 403, 0, "bot was blocked by the user"}},
		"429, body":          {429, http.Header{"Retry-After": {"99"}}, flood, ended{telegram.Refused, 429, 7 * time.Second, "Too Many"}},
		"429, header only":   {429, in7, bare429, ended{telegram.Refused, 429, 7 * time.Second, "Too Many"}},
		"429, neither":       {429, nil, bare429, ended{telegram.Refused, 429, time.Second, "Too Many"}},
		"429, senseless":     {429, http.Header{"Retry-After": {"-5"}}, bare429, ended{telegram.Refused, 429, time.Second, "Too Many"}},
		"400, with a header": {400, in7, badText, ended{telegram.Refused, 400, 0, "empty"}},
		"500 JSON":           {500, nil, broken, ended{telegram.Unknown, 500, 0, "restart"}},
		"502 HTML":           {502, html, page, ended{telegram.Unknown, 502, 0, "no Bot API JSON (56 bytes of text/html)"}},
		"200 HTML":           {200, html, page, ended{telegram.Unknown, 200, 0, "no Bot API JSON"}},
		"garbage JSON":       {200, nil, `{"ok":tr`, ended{telegram.Unknown, 200, 0, "no Bot API JSON"}},
		"empty":              {200, nil, ``, ended{telegram.Unknown, 200, 0, "no Bot API JSON"}},
		"a proxy's JSON":     {403, nil, `{"message":"denied"}`, ended{telegram.Unknown, 403, 0, "no Bot API JSON"}},
		"an empty object":    {200, nil, `{}`, ended{telegram.Unknown, 200, 0, "no Bot API JSON"}},
		"null":               {200, nil, `null`, ended{telegram.Unknown, 200, 0, "no Bot API JSON"}},
		"a redirect":         {302, http.Header{"Location": {"/elsewhere"}}, ``, ended{telegram.Unknown, 302, 0, "no Bot API JSON"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := serve(t, reply(c.status, c.header, c.body))
			check(t, send(t.Context(), b, nil), c.want)
		})
	}
}

func TestCall_OutcomeWithoutAnAnswer(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		server func(net.Conn) // nil: nobody listens
		want   ended
	}{
		"connection refused":              {nil, ended{telegram.NotSent, 0, 0, "refused"}},
		"cut before the request was read": {cutAtOnce, ended{telegram.Unknown, 0, 0, ""}},
		"cut after the request was read":  {answerWith(""), ended{telegram.Unknown, 0, 0, "EOF"}},
		"cut within the answer": {
			answerWith("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"ok\":true"), ended{telegram.Unknown, 200, 0, "EOF"},
		},
		"no HTTP": {answerWith("SSH-2.0-OpenSSH_9.6\r\n"), ended{telegram.Unknown, 0, 0, "malformed HTTP"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url := "http://" + closedPort(t)
			if c.server != nil {
				url = wire(t, c.server)
			}
			check(t, send(t.Context(), dial(t, url), nil), c.want)
		})
	}
}

func TestCall_AnswerAfterTheDeadlineIsUnknown(t *testing.T) {
	t.Parallel()
	b := dial(t, wire(t, func(conn net.Conn) {
		_, _ = io.Copy(io.Discard, conn) // until the caller hangs up
	}))
	opts := &gotgbot.SendMessageOpts{RequestOpts: &gotgbot.RequestOpts{Timeout: 50 * time.Millisecond}}
	check(t, send(t.Context(), b, opts), ended{telegram.Unknown, 0, 0, "deadline exceeded"})
}

func TestCall_CancelledWhileWaitingIsUnknown(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	b := dial(t, wire(t, func(conn net.Conn) {
		_, _ = http.ReadRequest(bufio.NewReader(conn))
		cancel()
		_, _ = io.Copy(io.Discard, conn) // until the caller hangs up
	}))
	check(t, send(ctx, b, nil), ended{telegram.Unknown, 0, 0, "canceled"})
}

func TestCall_CancelledBeforeIsNotSent(t *testing.T) {
	t.Parallel()
	b := serve(t, func(http.ResponseWriter, *http.Request) { t.Error("the call was sent") })
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	check(t, send(ctx, b, nil), ended{telegram.NotSent, 0, 0, "canceled"})
}

func TestCall_BadAddressIsNotSent(t *testing.T) {
	t.Parallel()
	for _, url := range []string{"http://127.0.0.1:port", "http://%zz", "127.0.0.1:8081", "", "ftp://127.0.0.1", "http://"} {
		check(t, send(t.Context(), dial(t, url), nil), ended{telegram.NotSent, 0, 0, ""})
		_, err := dial(t, url).SendVideoWithContext(t.Context(), 7, gotgbot.InputFileByReader("v.mp4", zeros{}), nil)
		if telegram.OutcomeOf(err) != telegram.NotSent || err == nil {
			t.Errorf("an upload to %q: %v", url, err)
		}
	}
}

func TestCall_EndlessAnswerIsCutOff(t *testing.T) {
	t.Parallel()
	b := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		for _, err := io.WriteString(w, "["); err == nil; _, err = io.WriteString(w, strings.Repeat(" ", 1<<16)) {
		}
	})
	check(t, send(t.Context(), b, nil), ended{telegram.Unknown, 200, 0, "no Bot API JSON"})
}

func TestCall_UnencodableIsNotSent(t *testing.T) {
	t.Parallel()
	b := serve(t, func(http.ResponseWriter, *http.Request) { t.Error("the call was sent") })
	_, err := b.RequestWithContext(t.Context(), "sendMessage", map[string]any{"text": func() {}}, nil)
	check(t, err, ended{telegram.NotSent, 0, 0, "encode the call"})
}

func TestCall_IsNeverRepeated(t *testing.T) {
	t.Parallel()
	calls := make(chan string, 10)
	b := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		calls <- r.URL.Path
		panic(http.ErrAbortHandler)
	})
	if err := send(t.Context(), b, nil); err == nil {
		t.Fatal("a cut call succeeded")
	}
	if len(calls) != 1 {
		t.Errorf("the server was called %d times", len(calls))
	}
}

func TestCall_NewChatIsNamed(t *testing.T) {
	t.Parallel()
	var e *telegram.Error
	err := send(t.Context(), serve(t, reply(400, nil, moved)), nil)
	if !errors.As(err, &e) || e.MigrateTo != -1001234567890 {
		t.Errorf("%+v", err)
	}
}

func TestCall_EchoedTokenIsMasked(t *testing.T) {
	t.Parallel()
	quoted := fmt.Sprintf(`{"ok":false,"error_code":404,"description":"no bot %s here"}`, token)
	for name, url := range map[string]string{
		"description":  start(t, reply(404, nil, quoted)),
		"page":         start(t, reply(502, nil, "<p>/bot"+token+"/sendMessage</p>")),
		"content type": start(t, reply(502, http.Header{"Content-Type": {"text/" + token}}, "")),
		"status line":  wire(t, answerWith("/bot"+token+"/sendMessage\r\n")),
		"status code":  wire(t, answerWith("HTTP/1.1 "+token+" OK\r\n\r\n")),
		"header":       wire(t, answerWith("HTTP/1.1 200 OK\r\n"+token+"\r\n\r\n")),
		"location":     start(t, reply(302, http.Header{"Location": {"http://%zz/" + token}}, "")),
		"result":       start(t, reply(200, nil, `{"ok":true,"result":"`+token+`"}`)),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := send(t.Context(), dial(t, url), nil)
			if err == nil {
				t.Fatal("no error")
			}
			noToken(t, err)
		})
	}
}

func TestNew_BadTokenIsNotQuoted(t *testing.T) {
	t.Parallel()
	for _, bad := range []string{"secret-part", "secret-part:" + token, "x:secret-part", "1:2:secret-part"} {
		_, err := telegram.New(bad, telegram.DefaultURL)
		if err == nil || strings.Contains(err.Error(), "secret-part") {
			t.Errorf("New(%q): %v", bad, err)
		}
	}
	if _, err := telegram.New("", telegram.DefaultURL); err == nil {
		t.Error("an empty token was taken")
	}
}

func TestOutcomeOf_ForeignErrorIsUnknown(t *testing.T) {
	t.Parallel()
	foreign := errors.New("decode the result")
	if o := telegram.OutcomeOf(foreign); o != telegram.Unknown {
		t.Errorf("outcome %d", o)
	}
	if d := telegram.RetryAfter(foreign); d != 0 {
		t.Errorf("retry after %s", d)
	}
}

func start(t *testing.T, h http.HandlerFunc) string {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	return server.URL
}

func send(ctx context.Context, b *gotgbot.Bot, opts *gotgbot.SendMessageOpts) error {
	_, err := b.SendMessageWithContext(ctx, 7, "hello", opts)
	return err
}

// cutAtOnce resets the connection after the request's first byte.
func cutAtOnce(conn net.Conn) {
	_, _ = conn.Read(make([]byte, 1))
	_ = conn.(*net.TCPConn).SetLinger(0)
}

// answerWith reads one request, writes text and hangs up.
func answerWith(text string) func(net.Conn) {
	return func(conn net.Conn) {
		r, err := http.ReadRequest(bufio.NewReader(conn))
		if err != nil {
			return // the caller has gone
		}
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = io.WriteString(conn, text)
	}
}

func check(t *testing.T, err error, want ended) {
	t.Helper()
	if want.outcome == telegram.Done {
		if err != nil || telegram.OutcomeOf(err) != telegram.Done {
			t.Errorf("%v, want success", err)
		}
		return
	}
	var e *telegram.Error
	if !errors.As(err, &e) {
		t.Fatalf("%T %v, want a *telegram.Error", err, err)
	}
	noToken(t, err)
	if telegram.OutcomeOf(err) != want.outcome || e.Code != want.code || telegram.RetryAfter(err) != want.after {
		t.Errorf("outcome %d, code %d, after %s, want %+v: %v", e.Outcome, e.Code, e.RetryAfter, want, err)
	}
	if strings.Contains(err.Error(), "://") {
		t.Errorf("the address is in %q", err)
	}
	if e.Method != "sendMessage" || !strings.Contains(err.Error(), want.words) {
		t.Errorf("%q does not name the method and %q", err, want.words)
	}
}

// noToken fails when the secret part of the token is in the text of err.
func noToken(t *testing.T, err error) {
	t.Helper()
	_, secret, _ := strings.Cut(token, ":")
	for _, text := range []string{err.Error(), fmt.Sprintf("%+v", err), fmt.Sprintf("%#v", err)} {
		if strings.Contains(text, secret) {
			t.Errorf("the token is in %q", text)
		}
	}
}
