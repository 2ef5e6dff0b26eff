package telegramsim_test

import (
	"bytes"
	"encoding/json"
	"io"
	"mime/multipart"
	"net/http/httptest"
	"strconv"
	"testing"

	"kiosk/internal/simulator/telegramsim"
)

func text(n int64) string { return strconv.FormatInt(n, 10) }

func path(userID int64, rest string) string {
	p := "/sim/users/" + text(userID)
	if rest != "" {
		p += "/" + rest
	}
	return p
}

// serve calls a method without a network, for fuzzing.
func serve(t *testing.T, server *telegramsim.Server, method string, params any) answer {
	t.Helper()
	body, err := json.Marshal(params)
	if err != nil {
		t.Fatal(err)
	}
	request := httptest.NewRequest("POST", "/bot"+token+"/"+method, bytes.NewReader(body))
	request.Header.Set("Content-Type", "application/json")
	recorder := httptest.NewRecorder()
	server.ServeHTTP(recorder, request)
	a := answer{status: recorder.Code}
	if err := json.Unmarshal(recorder.Body.Bytes(), &a); err != nil {
		t.Fatalf("%s: %v", recorder.Body, err)
	}
	return a
}

// form encodes fields and files as multipart.
func form(t *testing.T, fields map[string]string, files []formFile) (body io.Reader, contentType string) {
	t.Helper()
	var out bytes.Buffer
	writer := multipart.NewWriter(&out)
	for name, value := range fields {
		if err := writer.WriteField(name, value); err != nil {
			t.Fatal(err)
		}
	}
	for _, f := range files {
		part, err := writer.CreateFormFile(f.field, f.name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := part.Write(f.data); err != nil {
			t.Fatal(err)
		}
	}
	if err := writer.Close(); err != nil {
		t.Fatal(err)
	}
	return &out, writer.FormDataContentType()
}

func mustJSON(v any) string {
	data, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(data)
}
