package inbox

import (
	"errors"
	"io"
	"net/http"
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
func (r *Receiver) Handler(e Endpoint) http.Handler {
	r.metrics.expect(e.Source)
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if !e.Authorize(req) {
			r.metrics.count(e.Source, resultUnauthorized)
			w.Header().Set("Connection", "close") // the server would read the body to reuse it
			http.Error(w, "unauthorized", http.StatusUnauthorized)
			return
		}
		body, err := io.ReadAll(http.MaxBytesReader(w, req.Body, e.MaxBody))
		if err != nil {
			r.metrics.count(e.Source, answerUnread(w, err))
			return
		}
		if e.Verify != nil && !e.Verify(req, body) {
			r.metrics.count(e.Source, resultUnauthorized)
			http.Error(w, "unauthorized", http.StatusUnauthorized)
			return
		}
		envelope := e.Open(req, body)
		envelope.Source, envelope.Body = e.Source, body
		if err := r.Store(req.Context(), envelope); err != nil {
			w.Header().Set("Retry-After", "1")
			http.Error(w, "busy, please repeat", http.StatusServiceUnavailable)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"code":200,"msg":"success"}`) // the sender may have left; the row stays
	})
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
