package kie_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"
	"time"

	"kiosk/internal/provider/kie"
	"kiosk/internal/simulator/kiesim"
)

func TestCallbackTaskID_OfEveryFamily(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]string{
		`{"code":200,"data":{"taskId":"t1","state":"success"}}`:    "t1",
		`{"code":200,"data":{"task_id":"t2"}}`:                     "t2",
		`{"taskId":"t3"}`:                                          "t3",
		`{"taskId":"t3","data":null}`:                              "t3",
		`{"taskId":"outer","data":{"taskId":"t1","task_id":"t2"}}`: "t1",
		`{"taskId":"outer","data":{"taskId":"","task_id":"t2"}}`:   "t2",
		`{"code":501,"msg":"failed","data":{"taskId":"t1"}}`:       "t1",
		`{"data":{}}`:                "",
		`{}`:                         "",
		`null`:                       "",
		``:                           "",
		`<html>`:                     "",
		`[{"taskId":"t1"}]`:          "",
		`{"data":{"taskId":17}}`:     "",
		`{"data":{"taskId":"t1"}} x`: "",
	} {
		if got := kie.CallbackTaskID([]byte(body)); got != want {
			t.Errorf("%s names %q, want %q", body, got, want)
		}
	}
}

// signature returns the raw signature over a task and a time.
func signature(key, taskID string, at time.Time) []byte {
	mac := hmac.New(sha256.New, []byte(key))
	mac.Write([]byte(taskID + "." + strconv.FormatInt(at.Unix(), 10)))
	return mac.Sum(nil)
}

func headers(at time.Time, sign string) http.Header {
	h := http.Header{}
	h.Set("X-Webhook-Timestamp", strconv.FormatInt(at.Unix(), 10))
	h.Set("X-Webhook-Signature", sign)
	return h
}

func TestVerifySignature(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_790_000_000, 0)
	signed := func(key, id string, at time.Time) http.Header {
		return headers(at, base64.StdEncoding.EncodeToString(signature(key, id, at)))
	}
	edge := 5 * time.Minute
	noTime, noSign, wordTime := signed(hmacKey, "t1", now), signed(hmacKey, "t1", now), signed(hmacKey, "t1", now)
	noTime.Del("X-Webhook-Timestamp")
	noSign.Del("X-Webhook-Signature")
	wordTime.Set("X-Webhook-Timestamp", "now")
	moved := signed(hmacKey, "t1", now.Add(-time.Hour))
	moved.Set("X-Webhook-Timestamp", strconv.FormatInt(now.Unix(), 10))
	endless := headers(now, base64.StdEncoding.EncodeToString(signature(hmacKey, "t1", now)))
	endless.Set("X-Webhook-Timestamp", "9223372036854775807")
	for name, c := range map[string]struct {
		header http.Header
		want   bool
	}{
		"right":               {signed(hmacKey, "t1", now), true},
		"as old as allowed":   {signed(hmacKey, "t1", now.Add(-edge)), true},
		"as early as allowed": {signed(hmacKey, "t1", now.Add(edge)), true},
		"old":                 {signed(hmacKey, "t1", now.Add(-edge-time.Second)), false},
		"future":              {signed(hmacKey, "t1", now.Add(edge+time.Second)), false},
		"beyond all time":     {endless, false},
		"time moved":          {moved, false},
		"wrong key":           {signed("another", "t1", now), false},
		"wrong task":          {signed(hmacKey, "t2", now), false},
		"bad base64":          {headers(now, "%%%"), false},
		"cut":                 {headers(now, base64.StdEncoding.EncodeToString(signature(hmacKey, "t1", now)[:31])), false},
		"hex":                 {headers(now, hex.EncodeToString(signature(hmacKey, "t1", now))), false},
		"empty":               {http.Header{}, false},
		"no time":             {noTime, false},
		"no signature":        {noSign, false},
		"time in words":       {wordTime, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := kie.VerifySignature(hmacKey, c.header, "t1", now); got != c.want {
				t.Errorf("%t, want %t", got, c.want)
			}
		})
	}
}

// callback is one request as it came.
type callback struct {
	header http.Header
	body   []byte
}

// listen is an address for callbacks.
func listen(t *testing.T) (url string, got <-chan callback) {
	t.Helper()
	came := make(chan callback, 8)
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		came <- callback{r.Header, body}
	}))
	t.Cleanup(server.Close)
	return server.URL, came
}

func receive(t *testing.T, got <-chan callback) callback {
	t.Helper()
	select {
	case c := <-got:
		return c
	case <-soon(t).Done():
		t.Fatal("no callback came")
		return callback{}
	}
}

func TestVerifySignature_OfCallbacksThatWereSent(t *testing.T) {
	t.Parallel()
	for name, faults := range map[string][]kiesim.Fault{
		"success": nil, "failure": {{Method: "generate", Action: "nsfw"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := simulate(t)
			for _, f := range faults {
				a.fault(t, f)
			}
			url, got := listen(t)
			r := image()
			r.Callback = url
			id, err := a.Submit(soon(t), r)
			if err != nil {
				t.Fatal(err)
			}
			c := receive(t, got)
			if named := kie.CallbackTaskID(c.body); named != id {
				t.Errorf("the callback names %q, want %q", named, id)
			}
			if !kie.VerifySignature(hmacKey, c.header, id, time.Now()) {
				t.Errorf("the signature is refused: %v", c.header)
			}
			if kie.VerifySignature("another", c.header, id, time.Now()) {
				t.Error("the signature is accepted with another key")
			}
		})
	}
}

func TestVerifySignature_ForgedCallbackIsRefused(t *testing.T) {
	t.Parallel()
	a := simulate(t)
	a.fault(t, kiesim.Fault{Method: "callback", Action: "forged_callback", Count: 1})
	url, got := listen(t)
	r := image()
	r.Callback = url
	id, err := a.Submit(soon(t), r)
	if err != nil {
		t.Fatal(err)
	}
	forged, genuine := receive(t, got), receive(t, got)
	if named := kie.CallbackTaskID(forged.body); named == id || kie.VerifySignature(hmacKey, forged.header, named, time.Now()) {
		t.Errorf("the forged callback about %q is accepted", named)
	}
	if !kie.VerifySignature(hmacKey, genuine.header, kie.CallbackTaskID(genuine.body), time.Now()) {
		t.Error("the genuine callback is refused")
	}
}

func FuzzCallbackTaskID(f *testing.F) {
	for _, body := range []string{
		`{"data":{"taskId":"t1"}}`, `{"data":{"task_id":"t2"}}`, `{"taskId":"t3"}`, `null`, ``, `{"data":[]}`, `{"data":"\ud800"}`,
	} {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		if id := kie.CallbackTaskID(body); id != "" && !json.Valid(body) {
			t.Errorf("%q names %q and is no JSON", body, id)
		}
	})
}
