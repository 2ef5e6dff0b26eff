package inbox

import (
	"context"
	"errors"
	"io"
	"net/http"

	"kiosk/internal/trace"
)

// Endpoint is one webhook. Its fields are the wiring's.
type Endpoint struct {
	Source string

	// Authorize decides by the request's address and headers, in constant time,
	// before a byte of the body is read.
	Authorize func(*http.Request) bool

	// Verify, which may be nil, checks a signature that needs the body.
	Verify func(r *http.Request, body []byte) bool

	// Open says what a body is. It must accept anything.
	Open func(r *http.Request, body []byte) Envelope

	MaxBody int64 // bytes
}

// Handler answers a webhook: 401 to a stranger, 413 to a body over the limit,
// 200 after the commit, and 503 with Retry-After when it could not be stored.
func (r *Receiver) Handler(e Endpoint) http.Handler { return NewHandler(e, r.Store, r.metrics) }

// NewHandler is Handler with another way to store, which must return nil only
// once the message is safe.
func NewHandler(e Endpoint, store func(context.Context, Envelope) error, m *Metrics) http.Handler {
	m.expect(e.Source)
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if !e.Authorize(req) {
			m.count(e.Source, resultUnauthorized)
			w.Header().Set("Connection", "close") // the server would read the body to reuse it
			http.Error(w, "unauthorized", http.StatusUnauthorized)
			return
		}
		body, err := readBody(w, req, e.MaxBody)
		if err != nil {
			m.count(e.Source, answerUnread(w, err))
			return
		}
		if e.Verify != nil && !e.Verify(req, body) {
			m.count(e.Source, resultUnauthorized)
			http.Error(w, "unauthorized", http.StatusUnauthorized)
			return
		}
		envelope := e.Open(req, body)
		envelope.Source, envelope.Body, envelope.Trace = e.Source, body, trace.Of(req.Context())
		if err := store(req.Context(), envelope); err != nil {
			w.Header().Set("Retry-After", "1")
			http.Error(w, "busy, please repeat", http.StatusServiceUnavailable)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"code":200,"msg":"success"}`) // the sender may have left; the row stays
	})
}

// readBody takes a length that the sender tells as it is: the server lets no more
// through, and a buffer need not grow.
func readBody(w http.ResponseWriter, req *http.Request, limit int64) ([]byte, error) {
	if req.ContentLength < 0 || req.ContentLength > limit {
		return io.ReadAll(http.MaxBytesReader(w, req.Body, limit))
	}
	body := make([]byte, req.ContentLength)
	_, err := io.ReadFull(req.Body, body)
	return body, err
}

// answerUnread refuses a body and returns the result to count.
func answerUnread(w http.ResponseWriter, err error) string {
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		w.Header().Set("Connection", "close") // the rest of the body is not worth reading
		http.Error(w, "body too large", http.StatusRequestEntityTooLarge)
		return resultTooLarge
	}
	http.Error(w, "body not readable", http.StatusBadRequest)
	return resultUnreadable
}
