package kiesim

import (
	"bytes"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
)

const (
	maxBody   = 2 << 20   // of a JSON request
	maxUpload = 100 << 20 // of a file, as the provider promises
	// Base64 makes four bytes of three; the provider advises at most 10 MB for this way and the margin is ours.
	maxBase64 = 24 << 20
)

// reply is a response that remembers the code it carries: the envelope's, or the HTTP status where there is no envelope.
type reply struct {
	http.ResponseWriter
	code int
}

func (w *reply) WriteHeader(status int) {
	if w.code == 0 {
		w.code = status
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *reply) Write(p []byte) (int, error) {
	if w.code == 0 {
		w.code = http.StatusOK
	}
	return w.ResponseWriter.Write(p)
}

// Unwrap lets http.ResponseController reach the connection.
func (w *reply) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// envelope answers the way the provider does for success and failure alike: HTTP 200, the outcome in the body.
func (w *reply) envelope(code int, msg string, data any) {
	w.envelopeStatus(http.StatusOK, code, msg, data)
}

func (w *reply) envelopeStatus(status, code int, msg string, data any) {
	w.code = code
	writeJSON(w, status, envelope{Code: code, Msg: msg, Data: data})
}

func (w *reply) ok(data any) { w.envelope(http.StatusOK, "success", data) }

type envelope struct {
	Code int    `json:"code"`
	Msg  string `json:"msg"`
	Data any    `json:"data"`
}

// writeJSON ignores a failed write: the client is gone and there is nobody to tell.
func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json;charset=UTF-8")
	w.WriteHeader(status)
	_, _ = w.Write(encode(v))
}

// encode is json.Marshal without HTML escaping, as the provider writes it. Values of this package always encode.
func encode(v any) []byte {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(v)
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

type handler func(w *reply, r *http.Request)

// api is observe plus the check of the bearer key.
func (s *Server) api(method string, next handler) http.HandlerFunc {
	return s.observe(method, func(w *reply, r *http.Request) {
		if !s.authorized(r) {
			w.envelope(http.StatusUnauthorized, "You do not have access permissions", nil)
			return
		}
		next(w, r)
	})
}

func (s *Server) authorized(r *http.Request) bool {
	key, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	return ok && subtle.ConstantTimeCompare([]byte(key), []byte(s.cfg.APIKey)) == 1
}

// observe writes the request into the journal and lets a scripted fault act before, instead of, or after next.
func (s *Server) observe(method string, next handler) http.HandlerFunc {
	return func(rw http.ResponseWriter, r *http.Request) {
		w := &reply{ResponseWriter: rw}
		call := Call{Method: method, HTTPMethod: r.Method, Path: r.URL.RequestURI()}
		body, err := peek(method, r)
		call.Body, call.Model = journalBody(body), s.modelOf(method, r, body)
		fault, found := s.faults.take(method, call.Model, requestActions)
		if found {
			call.Fault = fault.Action
		}
		id := s.journal.open(call)
		// Deferred, because a fault may leave by cutting the connection.
		defer func() { s.journal.close(id, w.code) }()
		if err != nil {
			w.envelope(http.StatusBadRequest, "The request body is too large or could not be read", nil)
			return
		}
		s.serveFaulty(w, r, fault, next)
	}
}

var errTooLarge = errors.New("body too large")

// peek reads a JSON body and puts it back. Uploads are left alone: they are large, and their readers cap them.
func peek(method string, r *http.Request) ([]byte, error) {
	if method == methodUpload || r.Method == http.MethodGet {
		return nil, nil
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, maxBody+1))
	if err != nil {
		return nil, err
	}
	if len(body) > maxBody {
		return nil, errTooLarge
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	return body, nil
}

// modelOf names the model that a request is about, for the filter of faults; "" when there is none.
func (s *Server) modelOf(method string, r *http.Request, body []byte) string {
	switch method {
	case methodCreate:
		var req struct {
			Model string `json:"model"`
		}
		_ = json.Unmarshal(body, &req) // A body that does not decode has no model; the endpoint answers for it.
		return req.Model
	case methodRecord:
		task, _ := s.find(r.URL.Query().Get("taskId"))
		return task.Model
	case methodFile:
		task, _ := s.find(r.PathValue("task"))
		return task.Model
	}
	return ""
}
