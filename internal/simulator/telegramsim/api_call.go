package telegramsim

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"runtime/debug"
	"strconv"
	"strings"
	"time"
)

const callsKept = 10_000

// method is one method of the Bot API.
type method struct {
	name string
	run  func(context.Context, *params) (any, error)
}

// described is a result that comes with a description, as setWebhook's does.
type described struct {
	result      any
	description string
}

// reply is the answer to a call before it goes on the wire.
type reply struct {
	result      any
	description string
	err         *apiError
	html        bool // answer like a broken front end instead
	cut         bool // close the connection without an answer
}

// serveBot answers /bot<token>/<method>.
func (s *Server) serveBot(w http.ResponseWriter, r *http.Request, rest string) {
	token, name, _ := strings.Cut(rest, "/")
	if !s.knowsToken(token) {
		writeReply(w, reply{err: errUnauthorized})
		return
	}
	p, err := readParams(w, r)
	if err != nil {
		writeReply(w, reply{err: asAPIError(err)})
		return
	}
	ctx, cancel := s.callContext(r.Context(), name)
	defer cancel()
	answer := s.call(ctx, name, p, false)
	if answer.cut {
		// The sanctioned way to close a connection without an answer.
		panic(http.ErrAbortHandler)
	}
	writeReply(w, answer)
}

// callContext lets a call take its effect even when the bot hangs up before the answer, as it does at Telegram. Only
// a poll ends with its connection.
func (s *Server) callContext(request context.Context, name string) (context.Context, context.CancelFunc) {
	if !strings.EqualFold(name, "getUpdates") {
		request = context.WithoutCancel(request)
	}
	ctx, cancel := context.WithCancel(request)
	stop := context.AfterFunc(s.ctx, cancel)
	return ctx, func() { stop(); cancel() }
}

func (s *Server) knowsToken(token string) bool {
	return subtle.ConstantTimeCompare([]byte(token), []byte(s.cfg.Token)) == 1
}

// call runs one Bot API call with the faults that are set for it, and logs it.
func (s *Server) call(ctx context.Context, name string, p *params, viaHook bool) reply {
	m, known := s.methods[strings.ToLower(name)]
	if !known {
		m.name = name
	}
	began := s.now()
	entry := s.logCall(&Call{Method: m.name, Params: p.logged(), Time: began, ViaHook: viaHook})
	faults := s.takeFaults(m.name, p.integer("chat_id", 0))
	answer := s.answer(ctx, m, known, p, faults)
	s.finishCall(entry, answer, faults.String(), s.now().Sub(began))
	return answer
}

func (s *Server) answer(ctx context.Context, m method, known bool, p *params, faults taken) reply {
	if faults.delay > 0 && !s.sleep(ctx, faults.delay) {
		return reply{cut: true}
	}
	if before, ok := faults.before(); ok {
		return before
	}
	if !known {
		return reply{err: errMethodNotFound}
	}
	result, err := s.run(ctx, m, p)
	if faults.dropsAfter() {
		return reply{cut: true}
	}
	if err != nil {
		return reply{err: asAPIError(err)}
	}
	if d, ok := result.(described); ok {
		return reply{result: d.result, description: d.description}
	}
	return reply{result: result}
}

// run keeps a mistake in one method from taking the whole simulator down.
func (s *Server) run(ctx context.Context, m method, p *params) (result any, err error) {
	defer func() {
		if v := recover(); v != nil {
			s.log.Error("bot api method panicked", "method", m.name, "panic", v, "stack", string(debug.Stack()))
			err = errors.New("the simulator made a mistake, see its log")
		}
	}()
	return m.run(ctx, p)
}

func (s *Server) logCall(c *Call) *Call {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lastCall++
	c.ID = s.lastCall
	s.calls = append(s.calls, c)
	if len(s.calls) >= 2*callsKept {
		s.calls = append([]*Call(nil), s.calls[len(s.calls)-callsKept:]...)
	}
	return c
}

func (s *Server) finishCall(c *Call, answer reply, faults string, took time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c.Millis, c.Fault = took.Milliseconds(), faults
	switch {
	case answer.cut:
	case answer.html:
		c.Code = http.StatusBadGateway
	case answer.err != nil:
		c.Code, c.Description = answer.err.Code, answer.err.Description
	default:
		c.Code = http.StatusOK
	}
}

// Calls returns the Bot API calls after the given Call.ID, oldest first. The log keeps at least the last 10,000.
func (s *Server) Calls(after int64) []Call {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := []Call{}
	for _, c := range s.calls {
		if c.ID > after {
			out = append(out, *c)
		}
	}
	return out
}

// badGatewayPage is what a front end that lost its back end sends: no JSON at all.
const badGatewayPage = "<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>\r\n" +
	"<center><h1>502 Bad Gateway</h1></center>\r\n<hr><center>nginx/1.18.0</center>\r\n</body>\r\n</html>\r\n"

func writeReply(w http.ResponseWriter, answer reply) {
	switch {
	case answer.html:
		w.Header().Set("Content-Type", "text/html")
		w.WriteHeader(http.StatusBadGateway)
		fmt.Fprint(w, badGatewayPage)
	case answer.err != nil:
		body := map[string]any{"ok": false, "error_code": answer.err.Code, "description": answer.err.Description}
		if answer.err.RetryAfter > 0 {
			body["parameters"] = map[string]any{"retry_after": answer.err.RetryAfter}
			w.Header().Set("Retry-After", strconv.Itoa(answer.err.RetryAfter))
		}
		writeJSON(w, answer.err.Code, body)
	default:
		body := map[string]any{"ok": true, "result": answer.result}
		if answer.description != "" {
			body["description"] = answer.description
		}
		writeJSON(w, http.StatusOK, body)
	}
}

func writeJSON(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	// The only failure left is a client that went away, and nobody is there to be told.
	_ = encoder.Encode(body)
}
