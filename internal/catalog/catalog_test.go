package catalog_test

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"kiosk/internal/catalog"
	"kiosk/internal/fault"
)

func pricer(t *testing.T) *catalog.Pricer {
	t.Helper()
	p, err := catalog.NewPricer("80", "2.0", "0.8")
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func load(t *testing.T) *catalog.Catalog {
	t.Helper()
	c, err := catalog.Embedded()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// Every model is tested by existing: its example must price and build.
func TestEmbedded_EveryExamplePricesAndBuilds(t *testing.T) {
	t.Parallel()
	for _, m := range load(t).List("") {
		full, cost, price, err := m.Quote(pricer(t), m.ExampleValues())
		if err != nil || cost <= 0 || price <= 0 {
			t.Errorf("%s: cost %s, price %d, %v", m.ID, cost, price, err)
			continue
		}
		body, err := m.Request(full)
		if err != nil {
			t.Errorf("%s: %v", m.ID, err)
		}
		if _, err := json.Marshal(body); err != nil {
			t.Errorf("%s: %v", m.ID, err)
		}
		if from, err := m.FromPrice(pricer(t)); err != nil || from <= 0 || from > price {
			t.Errorf("%s: from %d, %v; the example costs %d", m.ID, from, err, price)
		}
	}
}

func TestQuote_PriceFollowsTheOptions(t *testing.T) {
	t.Parallel()
	m := load(t).Find("bytedance/v1-lite-text-to-video")
	for _, c := range []struct {
		resolution, duration string
		price                int64
	}{{"480p", "5", 800}, {"480p", "10", 1600}, {"720p", "5", 1800}, {"1080p", "10", 8000}} {
		_, _, price, err := m.Quote(pricer(t), catalog.Values{"prompt": "waves", "resolution": c.resolution, "duration": c.duration})
		if err != nil || price != c.price {
			t.Errorf("%s %s: %d, %v; want %d", c.resolution, c.duration, price, err, c.price)
		}
	}
}

func TestPrice_RoundsUpAndRefusesLosses(t *testing.T) {
	t.Parallel()
	p, err := catalog.NewPricer("79.999", "1.5", "0.8")
	if err != nil {
		t.Fatal(err)
	}
	if got, err := p.Price(4000); err != nil || got != 48 { // 47.9994 kopecks
		t.Errorf("price = %d, %v; want 48", got, err)
	}
	thin, err := catalog.NewPricer("80", "1.1", "0.8")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := thin.Price(1_000_000); !errors.Is(err, catalog.ErrUnprofitable) {
		t.Errorf("err = %v, want ErrUnprofitable: the cost is 91 %% of the price", err)
	}
	for _, bad := range []string{"", "0", "-1", "x"} {
		if _, err := catalog.NewPricer(bad, "2", "0.8"); err == nil {
			t.Errorf("rate %q was taken", bad)
		}
	}
}

func TestComplete_NamesWhatIsWrong(t *testing.T) {
	t.Parallel()
	m := load(t).Find("z-image")
	cases := map[catalog.Problem]catalog.Values{
		catalog.Missing:   {"prompt": "   "},
		catalog.TooLong:   {"prompt": strings.Repeat("я", 1001)},
		catalog.NotOption: {"prompt": "cat", "aspect_ratio": "2:1"},
		catalog.NoField:   {"prompt": "cat", "speed": "fast"},
	}
	for want, values := range cases {
		_, err := m.Complete(values)
		var e *catalog.InputError
		if !errors.As(err, &e) || e.Problem != want || fault.KindOf(err) != fault.Invalid {
			t.Errorf("%v: %v, want %s", values, err, want)
		}
	}
	full, err := m.Complete(catalog.Values{"prompt": strings.Repeat("я", 1000)})
	if err != nil || full["aspect_ratio"] != "1:1" {
		t.Errorf("1000 characters: %v, %v", full, err)
	}
}

func TestRequest_SendsConstantsAndTypes(t *testing.T) {
	t.Parallel()
	m := load(t).Find("z-image")
	full, err := m.Complete(catalog.Values{"prompt": "a cat"})
	if err != nil {
		t.Fatal(err)
	}
	body, err := m.Request(full)
	if err != nil {
		t.Fatal(err)
	}
	got, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	if want := `{"aspect_ratio":"1:1","nsfw_checker":true,"prompt":"a cat"}`; string(got) != want {
		t.Errorf("body = %s, want %s", got, want)
	}
}

// Each file of testdata/refused is a model with one mistake; its first line
// says what the refusal must mention.
func TestLoad_RefusesMistakes(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/refused/*.yaml")
	if err != nil || len(files) < 8 {
		t.Fatalf("found %d files, %v", len(files), err)
	}
	for _, f := range files {
		raw, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		first, _, _ := strings.Cut(string(raw), "\n")
		want := strings.TrimSpace(strings.TrimPrefix(first, "# refused:"))
		_, err = catalog.Parse(raw)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v; want a refusal that mentions %q", f, err, want)
		}
	}
}

func TestLoad_IDsAreUnique(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile("models/z-image.yaml")
	if err != nil {
		t.Fatal(err)
	}
	_, err = catalog.Load(fstest.MapFS{"a.yaml": {Data: raw}, "b.yaml": {Data: raw}})
	if err == nil || !strings.Contains(err.Error(), "a.yaml") {
		t.Errorf("err = %v, want both files named", err)
	}
}

func FuzzParse(f *testing.F) {
	raw, err := os.ReadFile("models/z-image.yaml")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(raw)
	f.Add([]byte("id: [1"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		m, err := catalog.Parse(raw)
		if err == nil && m.Prompt() == nil {
			t.Error("a model without a prompt was taken")
		}
	})
}
