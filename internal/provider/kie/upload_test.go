package kie_test

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"path"
	"strings"
	"testing"
	"testing/iotest"

	"kiosk/internal/provider"
	"kiosk/internal/provider/kie"
	"kiosk/internal/simulator/kiesim"
)

// uploader returns a client whose upload server is at url.
func uploader(t *testing.T, url string) *kie.Client {
	t.Helper()
	c, err := kie.New(kie.DefaultURL, apiKey, kie.UploadURL(url))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestUpload_IsServedAsItWas(t *testing.T) {
	t.Parallel()
	a := simulate(t)
	c, data := uploader(t, a.url), bytes.Repeat([]byte("picture "), 1<<17)
	var names []string
	for range 2 {
		url, err := c.Upload(soon(t), "../cat.png", bytes.NewReader(data))
		if err != nil {
			t.Fatal(err)
		}
		if got := download(t, url); !bytes.Equal(got, data) {
			t.Errorf("%d bytes came back of %d", len(got), len(data))
		}
		names = append(names, path.Base(url))
	}
	if names[0] == names[1] || path.Ext(names[0]) != ".png" {
		t.Errorf("names %q: KIE overwrites equal ones", names)
	}
}

func TestUpload_Failures(t *testing.T) {
	t.Parallel()
	a := simulate(t)
	for name, c := range map[string]struct {
		fault kiesim.Fault
		want  failure
	}{
		"bad key": {kiesim.Fault{Action: "fail", Code: 401}, failure{provider.Refused, provider.BadKey, 401, 0}},
		"cut":     {kiesim.Fault{Action: "drop_before"}, failure{provider.Unknown, provider.NoAnswer, 0, soonAgain}},
		"lost":    {kiesim.Fault{Action: "drop_after"}, failure{provider.Unknown, provider.NoAnswer, 0, soonAgain}},
		"page":    {kiesim.Fault{Action: "html"}, failure{provider.Unknown, provider.NoAnswer, 502, soonAgain}},
	} {
		t.Run(name, func(t *testing.T) {
			c.fault.Method = "upload"
			a.fault(t, c.fault)
			defer a.sim.ClearFaults()
			_, err := uploader(t, a.url).Upload(soon(t), "cat.png", strings.NewReader("png"))
			check(t, err, c.want)
		})
	}
}

func TestUpload_BrokenFileNeverLooksWhole(t *testing.T) {
	t.Parallel()
	whole := make(chan bool, 1)
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		raw, _ := io.ReadAll(r.Body) // it is cut, which is the matter
		whole <- bytes.HasSuffix(bytes.TrimSpace(raw), []byte("--"))
	}))
	t.Cleanup(server.Close)
	file := io.MultiReader(strings.NewReader(strings.Repeat("x", 1<<16)), iotest.ErrReader(errors.New("the source has gone")))
	_, err := uploader(t, server.URL).Upload(soon(t), "cat.png", file)
	check(t, err, failure{provider.Unknown, provider.NoAnswer, 0, soonAgain})
	if <-whole {
		t.Error("the server got a complete form with half a file")
	}
}

func TestUpload_EchoAndRedirectTellNobodyTheKey(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/elsewhere" {
			t.Error("a redirect was followed")
		}
		w.Header().Set("Location", "/elsewhere")
		w.WriteHeader(http.StatusFound)
		_, _ = io.WriteString(w, `{"code":401,"msg":"bad key `+r.Header.Get("Authorization")+`"}`)
	}))
	t.Cleanup(server.Close)
	_, err := uploader(t, server.URL).Upload(soon(t), "cat.png", strings.NewReader("png"))
	check(t, err, failure{provider.Refused, provider.BadKey, 401, 0})
}

func TestUpload_AnswerWithoutAnAddressIsUnknown(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"code":200,"data":{}}`)
	}))
	t.Cleanup(server.Close)
	_, err := uploader(t, server.URL).Upload(soon(t), "cat.png", strings.NewReader("png"))
	check(t, err, failure{provider.Unknown, provider.NoAnswer, 200, soonAgain})
}
