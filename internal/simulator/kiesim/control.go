package kiesim

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
)

func (s *Server) controlRoutes(mux *http.ServeMux) {
	mux.HandleFunc("POST /sim/faults", s.addFaults)
	mux.HandleFunc("GET /sim/faults", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, http.StatusOK, s.faults.all())
	})
	mux.HandleFunc("DELETE /sim/faults", func(w http.ResponseWriter, _ *http.Request) {
		s.ClearFaults()
		writeJSON(w, http.StatusOK, s.faults.all())
	})
	mux.HandleFunc("GET /sim/calls", s.listCalls)
	mux.HandleFunc("GET /sim/tasks", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, http.StatusOK, s.Tasks())
	})
}

// addFaults takes one fault or a list of them, all or none.
func (s *Server) addFaults(w http.ResponseWriter, r *http.Request) {
	faults, err := decodeFaults(io.LimitReader(r.Body, maxBody))
	if err == nil {
		err = s.faults.add(faults...)
	}
	if err != nil {
		writeJSON(w, http.StatusBadRequest, map[string]string{"error": err.Error()})
		return
	}
	writeJSON(w, http.StatusOK, s.faults.all())
}

func decodeFaults(r io.Reader) ([]Fault, error) {
	body, err := io.ReadAll(r)
	if err != nil {
		return nil, err
	}
	if body = bytes.TrimSpace(body); !bytes.HasPrefix(body, []byte("[")) {
		body = bytes.Join([][]byte{[]byte("["), body, []byte("]")}, nil)
	}
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.DisallowUnknownFields() // A misspelt field would make a fault that strikes something else.
	var faults []Fault
	if err := dec.Decode(&faults); err != nil {
		return nil, fmt.Errorf("a fault or a list of faults is expected: %w", err)
	}
	return faults, nil
}

func (s *Server) listCalls(w http.ResponseWriter, r *http.Request) {
	after := int64(0)
	if text := r.URL.Query().Get("after"); text != "" {
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil || n < 0 {
			writeJSON(w, http.StatusBadRequest, map[string]string{"error": "after must be the id of a call"})
			return
		}
		after = n
	}
	calls, _ := s.journal.after(after)
	writeJSON(w, http.StatusOK, append([]Call{}, calls...))
}
