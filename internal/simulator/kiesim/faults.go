package kiesim

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// What faults and the journal call the things that happen here.
const (
	methodCreate   = "createTask"
	methodRecord   = "recordInfo"
	methodCredit   = "credit"
	methodLink     = "downloadUrl"
	methodCatalog  = "catalog"
	methodUpload   = "upload"
	methodFile     = "file"
	methodCallback = "callback"
	methodGenerate = "generate"
	methodOther    = "other" // in the journal only
)

const (
	actionFail       = "fail"
	actionDelay      = "delay"
	actionDropBefore = "drop_before"
	actionDropAfter  = "drop_after"
	actionHTML       = "html"
	actionNone       = "no_callback"
	actionDuplicate  = "duplicate_callback"
	actionEarly      = "early_callback"
	actionForged     = "forged_callback"
	actionSlow       = "slow"
	actionNSFW       = "nsfw"
)

// Fault is one scripted misbehaviour. The first fault of the list that fits is applied, and only that one.
//
//	method                        action               effect
//	createTask recordInfo credit  fail                 answers Code and Message in the envelope, with HTTP status HTTPStatus
//	downloadUrl catalog upload    html                 answers an HTML page, HTTP 502 (or HTTPStatus), as a proxy does
//	file                          delay                answers DelayMS late
//	                              drop_before          cuts the connection, having done nothing
//	                              drop_after           does what was asked, then cuts the connection
//	generate                      fail                 the task ends in fail with Code and Message
//	                              nsfw                 the task ends in fail the way a moderator refuses
//	                              slow                 the task takes DelayMS longer
//	callback                      no_callback          is never sent
//	                              duplicate_callback   is sent twice
//	                              early_callback       the task finishes at once; the callback comes before createTask's reply
//	                              forged_callback      a false one (unknown task, wrong signature) precedes the true one
//	                              delay                is sent DelayMS late
//
// A fault of generate, and early_callback, strikes a task when it is accepted; the other faults strike when they act.
type Fault struct {
	Method     string `json:"method"`
	Action     string `json:"action"`
	Code       int    `json:"code,omitempty"`        // of fail; 0 means 500
	HTTPStatus int    `json:"http_status,omitempty"` // of fail (0 means 200) and html (0 means 502)
	Message    string `json:"message,omitempty"`     // of fail; "" means the provider's usual text for the code
	DelayMS    int    `json:"delay_ms,omitempty"`    // of delay and slow
	Count      int    `json:"count,omitempty"`       // how often it strikes; 0 means until cleared
	Model      string `json:"model,omitempty"`       // strikes this model only; never where no model is known (credit, upload)
}

var requestActions = []string{actionFail, actionDelay, actionDropBefore, actionDropAfter, actionHTML}

// actionsOf lists what may be scripted for a method; nothing for a method that does not exist.
func actionsOf(method string) []string {
	switch method {
	case methodCreate, methodRecord, methodCredit, methodLink, methodCatalog, methodUpload, methodFile:
		return requestActions
	case methodCallback:
		return []string{actionNone, actionDuplicate, actionEarly, actionForged, actionDelay}
	case methodGenerate:
		return []string{actionFail, actionSlow, actionNSFW}
	}
	return nil
}

func (f Fault) check() error {
	known := actionsOf(f.Method)
	switch {
	case known == nil:
		return fmt.Errorf("unknown method %q: use one of %s, %s, %s, %s, %s, %s, %s, %s, %s", f.Method, methodCreate, methodRecord,
			methodCredit, methodLink, methodCatalog, methodUpload, methodFile, methodCallback, methodGenerate)
	case !slices.Contains(known, f.Action):
		return fmt.Errorf("unknown action %q of method %s: use one of %s", f.Action, f.Method, strings.Join(known, ", "))
	case f.DelayMS < 0 || f.Count < 0:
		return fmt.Errorf("delay_ms and count must not be negative")
	case f.HTTPStatus != 0 && (f.HTTPStatus < 200 || f.HTTPStatus > 599):
		return fmt.Errorf("http_status must be between 200 and 599")
	}
	return nil
}

func (f Fault) delay() time.Duration { return time.Duration(f.DelayMS) * time.Millisecond }

func (f Fault) failure() (code int, msg string) {
	code = f.Code
	if code == 0 {
		code = http.StatusInternalServerError
	}
	if f.Message != "" {
		return code, f.Message
	}
	return code, usualText(code)
}

// codeNoFile is the provider's code for an input file that it could not get.
const codeNoFile = 451

// usualText is what the provider says with its documented codes.
func usualText(code int) string {
	switch code {
	case 400:
		return "The request parameters are incorrect. Please check the request parameters."
	case 401:
		return "You do not have access permissions"
	case 402:
		return "Credits insufficient : Your current balance isn't enough to run this request. Please top up to continue."
	case 404:
		return "Not found"
	case 408:
		return "Upstream is currently experiencing service issues with no result returned for over 10 minutes"
	case 422:
		return "This field is required"
	case 429:
		return "Your call frequency is too high. Please try again later."
	case 433:
		return "The usage limit of this API key has been reached"
	case codeNoFile:
		return "Failed to fetch the file. Please check any access limits set by you or your service provider."
	case 455:
		return "The service is currently undergoing maintenance. Please try again later."
	case 501:
		return "Content generation task failed"
	case 505:
		return "The requested feature is currently disabled"
	}
	return "Server exception, please try again later"
}

// faultBox holds the scripted faults in the order in which they were added.
type faultBox struct {
	mu   sync.Mutex
	list []Fault
}

func newFaultBox() *faultBox { return &faultBox{} }

func (b *faultBox) add(faults ...Fault) error {
	for _, f := range faults {
		if err := f.check(); err != nil {
			return err
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.list = append(b.list, faults...)
	return nil
}

// take returns the first fault that fits and uses up one of its strikes.
func (b *faultBox) take(method, model string, actions []string) (Fault, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i, f := range b.list {
		if f.Method != method || !slices.Contains(actions, f.Action) || (f.Model != "" && f.Model != model) {
			continue
		}
		switch f.Count {
		case 0:
		case 1:
			b.list = slices.Delete(b.list, i, i+1)
		default:
			b.list[i].Count--
		}
		return f, true
	}
	return Fault{}, false
}

func (b *faultBox) clear() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.list = nil
}

func (b *faultBox) all() []Fault {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]Fault{}, b.list...)
}

// Fault scripts a fault. An unknown method or action is refused with an error that names the known ones.
func (s *Server) Fault(f Fault) error { return s.faults.add(f) }

// ClearFaults removes every fault that has not struck yet.
func (s *Server) ClearFaults() { s.faults.clear() }

// serveFaulty applies a fault of a request; the zero Fault is none.
func (s *Server) serveFaulty(w *reply, r *http.Request, f Fault, next handler) {
	switch f.Action {
	case actionFail:
		code, msg := f.failure()
		w.envelopeStatus(max(f.HTTPStatus, http.StatusOK), code, msg, nil)
	case actionHTML:
		serveHTML(w, f.HTTPStatus)
	case actionDropBefore:
		cut()
	case actionDropAfter:
		next(&reply{ResponseWriter: &discard{header: http.Header{}}}, r)
		cut()
	case actionDelay:
		if !s.pause(r.Context(), f.delay()) {
			cut()
		}
		next(w, r)
	default:
		next(w, r)
	}
}

// cut closes the connection without an answer: net/http documents this panic as the way to do so.
func cut() { panic(http.ErrAbortHandler) }

func serveHTML(w *reply, status int) {
	if status == 0 {
		status = http.StatusBadGateway
	}
	w.Header().Set("Content-Type", "text/html; charset=UTF-8")
	w.WriteHeader(status)
	text := fmt.Sprintf("%d %s", status, http.StatusText(status))
	fmt.Fprintf(w, "<html>\r\n<head><title>%[1]s</title></head>\r\n<body>\r\n<center><h1>%[1]s</h1></center>\r\n"+
		"<hr><center>cloudflare</center>\r\n</body>\r\n</html>\r\n", text)
}

// discard is a response that nobody receives.
type discard struct{ header http.Header }

func (d *discard) Header() http.Header         { return d.header }
func (d *discard) Write(p []byte) (int, error) { return len(p), nil }
func (d *discard) WriteHeader(int)             {}
