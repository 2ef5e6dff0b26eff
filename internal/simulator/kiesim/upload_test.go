package kiesim_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"kiosk/internal/simulator/kiesim"
)

var pixel = []byte("\x89PNG\r\n\x1a\nnot really a picture")

type uploaded struct {
	Success bool
	Code    int
	Msg     string
	Data    struct {
		FileName, FilePath, DownloadURL, MimeType, UploadedAt string
		FileSize                                              int
	}
}

func encode(t *testing.T, v any) []byte {
	t.Helper()
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func (a account) upload(endpoint string, body any) uploaded {
	a.t.Helper()
	status, data := a.do(http.MethodPost, "/api/"+endpoint, body)
	if status != 200 {
		a.t.Errorf("%s: status %d", endpoint, status)
	}
	return decode[uploaded](a.t, data)
}

func (a account) stream(fields map[string]string, file []byte) uploaded {
	a.t.Helper()
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	if file != nil {
		part, err := form.CreateFormFile("file", "cat.png")
		if err != nil {
			a.t.Fatal(err)
		}
		_, _ = part.Write(file)
	}
	for name, value := range fields {
		_ = form.WriteField(name, value)
	}
	_ = form.Close()
	req, err := http.NewRequest(http.MethodPost, a.url+"/api/file-stream-upload", &body)
	if err != nil {
		a.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+apiKey)
	req.Header.Set("Content-Type", form.FormDataContentType())
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		a.t.Fatal(err)
	}
	defer resp.Body.Close()
	var got uploaded
	if err := json.NewDecoder(resp.Body).Decode(&got); err != nil {
		a.t.Fatal(err)
	}
	return got
}

// checkUpload wants the file to be reported and served as it was sent.
func checkUpload(t *testing.T, a account, way string, got uploaded) {
	t.Helper()
	if !got.Success || got.Code != 200 || got.Data.FileSize != len(pixel) || got.Data.MimeType != "image/png" {
		t.Fatalf("%s: %+v", way, got)
	}
	if !strings.HasPrefix(got.Data.DownloadURL, a.url+"/files/uploads/") {
		t.Errorf("%s: served at %s", way, got.Data.DownloadURL)
	}
	if resp, data := get(t, got.Data.DownloadURL); !bytes.Equal(data, pixel) || resp.Header.Get("Content-Type") != "image/png" {
		t.Errorf("%s: served %q as %s", way, data, resp.Header.Get("Content-Type"))
	}
}

func TestUpload_EveryWayKeepsTheFile(t *testing.T) {
	t.Parallel()
	a := start(t)
	source := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(pixel) }))
	defer source.Close()
	plain := base64.StdEncoding.EncodeToString(pixel)
	inputs := map[string]uploaded{
		"base64":   a.upload("file-base64-upload", map[string]any{"base64Data": plain, "uploadPath": "images", "fileName": "a b.png"}),
		"data URL": a.upload("file-base64-upload", map[string]any{"base64Data": "data:image/png;base64," + plain, "uploadPath": "images"}),
		"stream":   a.stream(map[string]string{"uploadPath": "images/user"}, pixel),
		"URL":      a.upload("file-url-upload", map[string]any{"fileUrl": source.URL + "/кот.png", "uploadPath": "images"}),
	}
	for way, got := range inputs {
		checkUpload(t, a, way, got)
		a.mustCreate("happyhorse/image-to-video", map[string]any{"image_urls": []string{got.Data.DownloadURL}}, "")
	}
}

func TestUpload_NeverLeavesItsFolder(t *testing.T) {
	t.Parallel()
	a := start(t)
	got := a.upload("file-base64-upload", map[string]any{
		"base64Data": base64.StdEncoding.EncodeToString(pixel), "uploadPath": "../../../etc/x", "fileName": "../../passwd.png",
	})
	checkUpload(t, a, "climbing", got)
	if strings.Contains(got.Data.FilePath, "..") || got.Data.FileName != "passwd.png" {
		t.Errorf("kept at %s", got.Data.FilePath)
	}
	got = a.upload("file-base64-upload", map[string]any{"base64Data": "aGk=", "uploadPath": ".", "fileName": ".."})
	if !got.Success || strings.Contains(got.Data.FilePath, "..") || strings.Count(got.Data.FilePath, "/") != 2 {
		t.Errorf("a name of dots is kept at %s", got.Data.FilePath)
	}
	for _, path := range []string{"/files/uploads/..%2f..%2fetc%2fpasswd", "/files/uploads/", "/files/uploads/kieai"} {
		if resp, _ := get(t, a.url+path); resp.StatusCode != http.StatusNotFound {
			t.Errorf("%s: status %d", path, resp.StatusCode)
		}
	}
}

func TestUpload_BadInputIsRefused(t *testing.T) {
	t.Parallel()
	a := start(t)
	missing := httptest.NewServer(http.NotFoundHandler())
	defer missing.Close()
	for name, got := range map[string]uploaded{
		"no path":       a.upload("file-base64-upload", map[string]any{"base64Data": "aGk="}),
		"no data":       a.upload("file-base64-upload", map[string]any{"uploadPath": "x"}),
		"not base64":    a.upload("file-base64-upload", map[string]any{"uploadPath": "x", "base64Data": "!"}),
		"not JSON":      a.upload("file-url-upload", "x"),
		"no URL":        a.upload("file-url-upload", map[string]any{"uploadPath": "x"}),
		"dead URL":      a.upload("file-url-upload", map[string]any{"uploadPath": "x", "fileUrl": missing.URL}),
		"not a form":    a.upload("file-stream-upload", map[string]any{"uploadPath": "x"}),
		"form, no file": a.stream(map[string]string{"uploadPath": "x"}, nil),
		"form, no path": a.stream(nil, pixel),
	} {
		if got.Success || got.Code != 400 || got.Msg == "" {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

func TestDownloadURL_LinksToOwnFilesOnly(t *testing.T) {
	t.Parallel()
	a := start(t)
	url := a.urls(picture, prompt("x"))[0]
	got := a.call(http.MethodPost, "/api/v1/common/download-url", map[string]any{"url": url})
	link := decode[string](t, got.Data)
	if resp, _ := get(t, link); got.Code != 200 || resp.StatusCode != 200 {
		t.Errorf("link %s: status %d", link, resp.StatusCode)
	}
	if resp, _ := get(t, strings.Replace(link, "Expires=", "Expires=1", 1)); resp.StatusCode != http.StatusForbidden {
		t.Errorf("a changed link: status %d", resp.StatusCode)
	}
	if got := a.call(http.MethodPost, "/api/v1/common/download-url", map[string]any{"url": "https://example.com/a.png"}); got.Code != 422 {
		t.Errorf("foreign URL: code %d", got.Code)
	}
	if got := a.call(http.MethodPost, "/api/v1/common/download-url", map[string]any{}); got.Code != 400 {
		t.Errorf("no URL: code %d", got.Code)
	}
}

func TestUpload_SurvivesARestart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first := start(t, kept(dir, 0))
	got := first.stream(map[string]string{"uploadPath": "images", "fileName": "a.png"}, pixel)
	if err := first.sim.Close(); err != nil {
		t.Fatal(err)
	}
	second := start(t, kept(dir, 0))
	if _, data := get(t, strings.Replace(got.Data.DownloadURL, first.url, second.url, 1)); !bytes.Equal(data, pixel) {
		t.Errorf("after the restart: %q", data)
	}
}

func TestFault_OfUploadsStrikes(t *testing.T) {
	t.Parallel()
	a := start(t)
	script(t, a, kiesim.Fault{Method: "upload", Action: "fail", Code: 500, Count: 1})
	if got := a.stream(map[string]string{"uploadPath": "x"}, pixel); got.Code != 500 || got.Success {
		t.Errorf("%+v", got)
	}
}
