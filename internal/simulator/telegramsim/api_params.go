package telegramsim

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

const (
	maxUpload   = 50 << 20 // Bot API: a bot can upload files of up to 50 MB
	maxBody     = maxUpload + 1<<20
	maxFormText = 1 << 20 // of one field that is not a file
	maxFields   = 256
)

// params are the arguments of a call. Like Telegram's server it keeps every value as text, whatever the encoding was.
type params struct {
	values map[string]string
	files  map[string]*upload
}

// upload is a file that came with a request.
type upload struct {
	name  string
	data  []byte
	order int // in the form
}

// readParams reads the query and a body in JSON, urlencoded or multipart form.
func readParams(w http.ResponseWriter, r *http.Request) (*params, error) {
	p := newParams()
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, badRequest("can't parse the query string")
	}
	p.addForm(query)
	err = p.readBody(r.Header.Get("Content-Type"), http.MaxBytesReader(w, r.Body, maxBody))
	return p, err
}

func newParams() *params {
	return &params{values: map[string]string{}, files: map[string]*upload{}}
}

// unreadable turns a failure to read a body into what Telegram says of it.
func unreadable(err error) error {
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return errTooLarge
	}
	return badRequest("can't read the body: %v", err)
}

func (p *params) readBody(contentType string, body io.Reader) error {
	kind, options, _ := mime.ParseMediaType(contentType)
	if kind == "multipart/form-data" {
		return p.readMultipart(multipart.NewReader(body, options["boundary"]))
	}
	data, err := io.ReadAll(body)
	if err != nil {
		return unreadable(err)
	}
	switch kind {
	case "application/json":
		return p.addJSON(data)
	case "application/x-www-form-urlencoded":
		form, err := url.ParseQuery(string(data))
		if err != nil {
			return badRequest("can't parse the form")
		}
		p.addForm(form)
	}
	return nil
}

func (p *params) addForm(form url.Values) {
	for name, values := range form {
		p.values[name] = values[0]
	}
}

func (p *params) addJSON(data []byte) error {
	if len(bytes.TrimSpace(data)) == 0 {
		return nil
	}
	var object map[string]json.RawMessage
	if err := json.Unmarshal(data, &object); err != nil {
		return badRequest("can't parse JSON object")
	}
	for name, raw := range object {
		var text string
		switch {
		case string(raw) == "null":
		case json.Unmarshal(raw, &text) == nil:
			p.values[name] = text
		default:
			p.values[name] = string(raw)
		}
	}
	return nil
}

func (p *params) readMultipart(reader *multipart.Reader) error {
	for range maxFields {
		part, err := reader.NextPart()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return unreadable(err)
		}
		if err := p.addPart(part); err != nil {
			return err
		}
	}
	return badRequest("too many fields")
}

func (p *params) addPart(part *multipart.Part) error {
	isFile := part.FileName() != ""
	limit := int64(maxFormText)
	if isFile {
		limit = maxUpload
	}
	data, err := io.ReadAll(io.LimitReader(part, limit+1))
	if err != nil {
		return unreadable(err)
	}
	if int64(len(data)) > limit {
		return errTooLarge
	}
	if isFile {
		p.files[p.freeName(part.FormName())] = &upload{part.FileName(), data, len(p.files)}
		return nil
	}
	p.values[part.FormName()] = string(data)
	return nil
}

// freeName keeps several files under one field name, as a person who sends an album does: photo, photo#2, photo#3.
func (p *params) freeName(name string) string {
	free := name
	for n := 2; p.files[free] != nil; n++ {
		free = name + "#" + strconv.Itoa(n)
	}
	return free
}

func (p *params) has(name string) bool { return p.values[name] != "" }

func (p *params) str(name string) string { return p.values[name] }

// flag reads a Boolean as Telegram does: anything but true, yes and 1 is false.
func (p *params) flag(name string) bool {
	switch strings.ToLower(p.values[name]) {
	case "true", "yes", "1":
		return true
	}
	return false
}

// integer reads a number; what is no number counts as fallback.
func (p *params) integer(name string, fallback int64) int64 {
	n, err := strconv.ParseInt(strings.TrimSpace(p.values[name]), 10, 64)
	if err != nil {
		return fallback
	}
	return n
}

// decode reads a parameter that carries JSON; an absent one leaves target as it is.
func (p *params) decode(name string, target any) error {
	if !p.has(name) {
		return nil
	}
	if err := json.Unmarshal([]byte(p.values[name]), target); err != nil {
		return badRequest("can't parse %s: %v", name, err)
	}
	return nil
}

// logged is what the log of calls keeps: JSON values as JSON, files by name, size and hash.
func (p *params) logged() map[string]any {
	out := make(map[string]any, len(p.values)+len(p.files))
	for name, value := range p.values {
		out[name] = loggedValue(value)
	}
	for name, f := range p.files {
		sum := sha256.Sum256(f.data)
		out[name] = map[string]any{"name": f.name, "size": len(f.data), "sha256": hex.EncodeToString(sum[:])}
	}
	return out
}

func loggedValue(value string) any {
	if value == "" || !strings.ContainsAny(value[:1], `{[-0123456789tf`) {
		return value
	}
	var decoded any
	decoder := json.NewDecoder(strings.NewReader(value))
	decoder.UseNumber()
	if decoder.Decode(&decoded) != nil || decoder.More() {
		return value
	}
	if n, ok := decoded.(json.Number); ok && n.String() != value {
		return value
	}
	return decoded
}
