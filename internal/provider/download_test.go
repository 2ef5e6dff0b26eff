package provider_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"kiosk/internal/provider"
)

func TestDownloader_RefusesWhatIsNotPublic(t *testing.T) {
	t.Parallel()
	private := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		t.Error("a private server was reached")
	}))
	t.Cleanup(private.Close)
	d := provider.NewDownloader("http://10.0.0.1:80")
	for _, address := range []string{
		private.URL, "http://example.com/a.png", "https://user:pw@example.com/a.png", "https://127.0.0.1/a", "https://[::1]/a",
		"https://169.254.169.254/latest", "https://10.0.0.1/a", "http://10.0.0.1:80/a", "https://[::ffff:127.0.0.1]/a", "https://[64:ff9b::7f00:1]/a",
		"https://100.64.0.1/a", "https://0.0.0.0/a", "https://2130706433/a", "file:///etc/passwd", "https://localhost/a", "::",
	} {
		f, err := d.Open(context.Background(), address)
		if err == nil {
			f.Body.Close()
			t.Errorf("%s was opened", address)
		}
	}
}

func TestDownloader_TrustsNamedLoopbackOriginsOnly(t *testing.T) {
	t.Parallel()
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { t.Error("another origin was reached") }))
	t.Cleanup(other.Close)
	mux := http.NewServeMux()
	mux.HandleFunc("/file.png", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "png") })
	mux.Handle("/away", http.RedirectHandler(other.URL+"/x", http.StatusFound))
	mux.HandleFunc("/large", func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Content-Length", "99999999") })
	sim := httptest.NewServer(mux)
	t.Cleanup(sim.Close)

	d := provider.NewDownloader(sim.URL + "/kie")
	f, err := d.Open(context.Background(), sim.URL+"/file.png")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Body.Close()
	if raw, err := io.ReadAll(f.Body); err != nil || string(raw) != "png" || f.Name != "file.png" {
		t.Fatalf("%q %v %q", raw, err, f.Name)
	}
	if _, err := d.Open(context.Background(), sim.URL+"/away"); !errors.Is(err, provider.ErrForbiddenAddress) {
		t.Errorf("redirect: %v, want ErrForbiddenAddress", err)
	}
	if _, err := d.Open(context.Background(), sim.URL+"/large"); err == nil {
		t.Error("a file over the limit was opened")
	}
}
