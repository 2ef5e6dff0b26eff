package telegramsim

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

const maxControlBody = 1 << 20 // of a control call without files

// controlHandler serves what is not the Bot API: the control calls and the web chat.
func (s *Server) controlHandler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /sim/users", s.controlNewUser)
	mux.HandleFunc("GET /sim/users", s.controlUsers)
	mux.HandleFunc("GET /sim/users/{id}", withUser(s.controlUser))
	mux.HandleFunc("GET /sim/users/{id}/messages", withUser(s.controlMessages))
	mux.HandleFunc("POST /sim/users/{id}/messages", withUser(s.controlSend))
	mux.HandleFunc("POST /sim/users/{id}/press", withUser(s.controlPress))
	mux.HandleFunc("GET /sim/users/{id}/answers", withUser(s.controlAnswers))
	mux.HandleFunc("POST /sim/users/{id}/pay", withUser(s.controlPay))
	mux.HandleFunc("POST /sim/users/{id}/block", withUser(s.controlBlock(true)))
	mux.HandleFunc("POST /sim/users/{id}/unblock", withUser(s.controlBlock(false)))
	mux.HandleFunc("GET /sim/users/{id}/events", withUser(s.controlEvents))
	mux.HandleFunc("POST /sim/faults", s.controlSetFault)
	mux.HandleFunc("GET /sim/faults", s.controlFaults)
	mux.HandleFunc("DELETE /sim/faults", s.controlClearFaults)
	mux.HandleFunc("GET /sim/calls", s.controlCalls)
	mux.HandleFunc("GET /sim/updates", s.controlUpdates)
	mux.HandleFunc("GET /sim/files/{file_id}", s.controlFile)
	mux.HandleFunc("/sim/", func(w http.ResponseWriter, _ *http.Request) {
		writeError(w, http.StatusNotFound, "no such control call")
	})
	mux.Handle("/", webHandler())
	// Other sites that the same browser shows must not play our users.
	return http.NewCrossOriginProtection().Handler(mux)
}

func withUser(next func(http.ResponseWriter, *http.Request, int64)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		id, err := strconv.ParseInt(r.PathValue("id"), 10, 64)
		if err != nil {
			writeError(w, http.StatusNotFound, "no such user")
			return
		}
		next(w, r, id)
	}
}

func writeError(w http.ResponseWriter, status int, text string) {
	writeJSON(w, status, map[string]string{"error": text})
}

// fail answers with the status that fits the error.
func (s *Server) fail(w http.ResponseWriter, err error) {
	status := statusOf(err)
	if status == http.StatusInternalServerError {
		s.log.Error("control call failed", "error", err)
	}
	text := err.Error()
	if e, ok := errors.AsType[*apiError](err); ok {
		text = strings.TrimPrefix(e.Description, "Bad Request: ")
	}
	writeError(w, status, text)
}

func statusOf(err error) int {
	if e, ok := errors.AsType[*apiError](err); ok {
		return e.Code
	}
	if _, ok := errors.AsType[*FaultError](err); ok {
		return http.StatusBadRequest
	}
	if _, ok := errors.AsType[*RefusedError](err); ok {
		return http.StatusConflict
	}
	for known, status := range map[error]int{
		ErrNoUser: http.StatusNotFound, ErrNoMessage: http.StatusBadRequest, ErrNoButton: http.StatusBadRequest,
		ErrNoInvoice: http.StatusBadRequest, ErrEmpty: http.StatusBadRequest, ErrTooLong: http.StatusBadRequest,
		ErrBlocking: http.StatusConflict, ErrCheckoutTimeout: http.StatusGatewayTimeout,
		ErrClosed: http.StatusServiceUnavailable,
	} {
		if errors.Is(err, known) {
			return status
		}
	}
	return http.StatusInternalServerError
}

// readJSON decodes a small body and ignores fields that it does not know.
func readJSON(r *http.Request, target any) error {
	data, err := io.ReadAll(io.LimitReader(r.Body, maxControlBody+1))
	if err != nil {
		return badRequest("can't read the body: %v", err)
	}
	if len(data) > maxControlBody {
		return errTooLarge
	}
	if err := json.Unmarshal(data, target); err != nil {
		return badRequest("can't parse JSON: %v", err)
	}
	return nil
}

// afterOf reads the query parameter after; everything comes without it.
func afterOf(r *http.Request) (int64, error) {
	text := r.URL.Query().Get("after")
	if text == "" {
		return 0, nil
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return 0, badRequest("after must be a number")
	}
	return n, nil
}

func (s *Server) controlSetFault(w http.ResponseWriter, r *http.Request) {
	var f Fault
	if err := readJSON(r, &f); err != nil {
		s.fail(w, err)
		return
	}
	set, err := s.Fault(f)
	if err != nil {
		s.fail(w, err)
		return
	}
	writeJSON(w, http.StatusOK, set)
}

func (s *Server) controlFaults(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, s.Faults())
}

func (s *Server) controlClearFaults(w http.ResponseWriter, _ *http.Request) {
	s.ClearFaults()
	writeJSON(w, http.StatusOK, map[string]bool{"ok": true})
}

func (s *Server) controlCalls(w http.ResponseWriter, r *http.Request) {
	after, err := afterOf(r)
	if err != nil {
		s.fail(w, err)
		return
	}
	writeJSON(w, http.StatusOK, s.Calls(after))
}

func (s *Server) controlUpdates(w http.ResponseWriter, r *http.Request) {
	after, err := afterOf(r)
	if err != nil {
		s.fail(w, err)
		return
	}
	updates := slices.DeleteFunc(s.Updates(), func(u Update) bool { return u.ID <= after })
	writeJSON(w, http.StatusOK, updates)
}

// controlFile gives the bytes of a file to tests and to the web chat.
func (s *Server) controlFile(w http.ResponseWriter, r *http.Request) {
	f := s.findFile(r.PathValue("file_id"))
	if f == nil {
		writeError(w, http.StatusNotFound, "no such file")
		return
	}
	header := w.Header()
	header.Set("Content-Type", f.MIME)
	header.Set("Cache-Control", "private, max-age=86400, immutable")
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Content-Security-Policy", "sandbox; default-src 'none'")
	if !isPlayable(f.MIME) {
		// What a person or a bot uploads must not run as a page of this origin.
		header.Set("Content-Disposition", "attachment")
	}
	s.serveFile(w, r, f)
}

func isPlayable(mime string) bool {
	if mime == "image/svg+xml" {
		return false
	}
	for _, family := range []string{"image/", "video/", "audio/"} {
		if strings.HasPrefix(mime, family) {
			return true
		}
	}
	return false
}
