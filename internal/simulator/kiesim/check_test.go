package kiesim_test

import (
	"maps"
	"os"
	"strings"
	"testing"
	"time"

	"kiosk/internal/simulator/kiesim"
)

// published is a model as models.json describes it: read anew here, so that the test does not share the server's view.
type published struct {
	ID       string
	Modality string
	Endpoint string
	Fields   []publishedField
	Variants []struct {
		Required []string
		Fields   []publishedField
	} `json:"input_variants"`
}

type publishedField struct {
	Name      string
	Required  bool
	Type      string
	Format    string
	Pattern   string
	Enum      []any
	Default   any
	MinLength int
	MinItems  int
	Minimum   *float64
	Maximum   *float64
	Items     *publishedField
	Fields    []publishedField
}

func models(t *testing.T) []published {
	t.Helper()
	data, err := os.ReadFile("models.json")
	if err != nil {
		t.Fatal(err)
	}
	var unified []published
	for _, m := range decode[[]published](t, data) {
		if m.Endpoint == "POST /api/v1/jobs/createTask" {
			unified = append(unified, m)
		}
	}
	return unified
}

// minimal builds the smallest valid input.
func (m published) minimal() map[string]any {
	in := minimalObject(m.Fields)
	if len(m.Variants) > 0 {
		maps.Copy(in, minimalObject(m.Variants[0].Fields))
	}
	return in
}

func minimalObject(fields []publishedField) map[string]any {
	in := map[string]any{}
	for _, f := range fields {
		if f.Required {
			in[f.Name] = f.minimal()
		}
	}
	return in
}

func (f publishedField) minimal() any {
	if len(f.Enum) > 0 {
		return f.Enum[0]
	}
	switch f.Type {
	case "boolean":
		return false
	case "integer", "number":
		if f.Minimum != nil {
			return *f.Minimum
		}
		return 5
	case "array":
		items := []any{}
		for range max(f.MinItems, 1) {
			items = append(items, f.Items.minimal())
		}
		return items
	case "object":
		return minimalObject(f.Fields)
	}
	if f.Format == "uri" || strings.Contains(f.Name, "url") {
		return "https://example.com/file.png"
	}
	return strings.Repeat("x", max(f.MinLength, 5))
}

func TestCheck_EveryModelAcceptsItsMinimalInputAndWantsItsRequiredFields(t *testing.T) {
	t.Parallel()
	a := start(t, func(c *kiesim.Config) { c.Credits, c.Duration = 1e6, func(string) time.Duration { return 0 } })
	all := models(t)
	if len(all) < 190 {
		t.Fatalf("%d models", len(all))
	}
	for _, m := range all {
		rec := a.ended(a.mustCreate(m.ID, m.minimal(), ""))
		if rec.State != kiesim.StateSuccess || len(rec.Response) < 5 {
			t.Errorf("%s: %s %s", m.ID, rec.State, rec.Response)
		}
		for _, f := range m.Fields {
			if !f.Required {
				continue
			}
			in := m.minimal()
			delete(in, f.Name)
			if got := a.create(m.ID, in, ""); got.Code != 422 || !strings.Contains(got.Msg, f.Name+" is required") {
				t.Errorf("%s without %s: code %d, %q", m.ID, f.Name, got.Code, got.Msg)
			}
			in[f.Name] = map[string]any{"of": "the wrong type"}
			if got := a.create(m.ID, in, ""); got.Code != 422 {
				t.Errorf("%s with an object as %s: code %d", m.ID, f.Name, got.Code)
			}
		}
	}
}

func TestCheck_RefusesWhatAModelDoesNotTake(t *testing.T) {
	t.Parallel()
	a := start(t)
	with := func(base map[string]any, name string, v any) map[string]any {
		in := map[string]any{}
		maps.Copy(in, base)
		in[name] = v
		return in
	}
	kling := map[string]any{"prompt": "x", "sound": false, "aspect_ratio": "16:9", "duration": "5"}
	seedance := map[string]any{"prompt": "a boat", "aspect_ratio": "1:1", "duration": 5}
	omni := map[string]any{"prompt": "a boat", "image_urls": []any{"https://example.com/a.png"}}
	for _, c := range []struct {
		name  string
		model string
		input any
		want  string // "" means accepted
	}{
		{"unknown model", "no/such-model", kling, "The model name you specified is not supported."},
		{"dedicated family by its key", "legacy:/api/v1/lyrics", kling, "not supported"},
		{"no input", "kling-2.6/text-to-video", nil, "input is required"},
		{"text as input", "kling-2.6/text-to-video", "x", "input is required"},
		{"empty required text", "kling-2.6/text-to-video", with(kling, "prompt", ""), "prompt is required"},
		{"null required field", "kling-2.6/text-to-video", with(kling, "prompt", nil), "prompt is required"},
		{"number for text", "kling-2.6/text-to-video", with(kling, "duration", 5), "duration must be a string"},
		{"text for boolean", "kling-2.6/text-to-video", with(kling, "sound", "no"), "sound must be a boolean"},
		{"outside the enum", "kling-2.6/text-to-video", with(kling, "aspect_ratio", "2:1"), "aspect_ratio is not within the range of allowed options"},
		{"too long", picture, prompt(strings.Repeat("ж", 20001)), "prompt cannot exceed"},
		{"long in characters, not bytes", "kling-2.6/text-to-video", with(kling, "prompt", strings.Repeat("ж", 900)), ""},
		{"too short", "bytedance/seedance-1.5-pro", with(seedance, "prompt", "ab"), "prompt must have at least 3"},
		{"text for number", "bytedance/seedance-1.5-pro", with(seedance, "duration", "5"), "duration must be a number"},
		{"too many items", "bytedance/seedance-1.5-pro", with(seedance, "input_urls", []any{"https://a.b/1", "https://a.b/2", "https://a.b/3"}), "cannot have more than 2"},
		{"item of a wrong type", "bytedance/seedance-1.5-pro", with(seedance, "input_urls", []any{7}), "input_urls[0] must be a string"},
		{"not a URL", "bytedance/seedance-1.5-pro", with(seedance, "input_urls", []any{"file.png"}), "not a valid URL"},
		{"fraction for integer", "kling-3.0-omni/image-to-video", with(omni, "duration", 4.5), "duration must be an integer"},
		{"number outside the enum", "kling-3.0-omni/image-to-video", with(omni, "duration", 16), "duration is not within the range"},
		{"only spaces against a pattern", "kling-3.0-omni/image-to-video", with(omni, "prompt", "   "), "required format"},
		{"no variant fits", "grok-imagine-image-2-0/segment-map", map[string]any{}, "task_id is required"},
		{"the second variant fits", "grok-imagine-image-2-0/segment-map", map[string]any{"image_url": "https://a.b/c.png"}, ""},
		{"unknown fields are ignored", picture, map[string]any{"prompt": "x", "colour": 1}, ""},
		{"the published spelling with its space", "happyhorse/image-to-video", map[string]any{"image_urls ": []any{"https://a.b/c.png"}}, ""},
		{"an upload that is not here", "happyhorse/image-to-video", map[string]any{"image_urls": []any{a.url + "/files/uploads/none.png"}}, "Failed to fetch"},
		{"below the minimum", "flux1-kontext", map[string]any{"prompt": "x", "safety_tolerance": -1}, "cannot be less than 0"},
		{"above the maximum", "flux1-kontext", map[string]any{"prompt": "x", "safety_tolerance": 7}, "cannot be greater than 6"},
	} {
		got := a.create(c.model, c.input, "")
		switch {
		case c.want == "" && got.Code != 200:
			t.Errorf("%s: code %d, %q", c.name, got.Code, got.Msg)
		case c.want != "" && (got.Code != 422 && got.Code != 451 || !strings.Contains(got.Msg, c.want)):
			t.Errorf("%s: code %d, %q, want %q", c.name, got.Code, got.Msg, c.want)
		}
	}
}

func TestPrice_FollowsTheTierThatTheInputDescribes(t *testing.T) {
	t.Parallel()
	a := start(t)
	for _, c := range []struct {
		model   string
		input   map[string]any
		credits float64
	}{
		{"kling-2.6/text-to-video", map[string]any{"sound": false, "duration": "5", "aspect_ratio": "1:1"}, 55},
		{"kling-2.6/text-to-video", map[string]any{"sound": true, "duration": "10", "aspect_ratio": "1:1"}, 220},
		{"bytedance/seedance-1.5-pro", map[string]any{"duration": 4, "aspect_ratio": "1:1", "resolution": "1080p", "generate_audio": true}, 60},
		{"bytedance/seedance-1.5-pro", map[string]any{"duration": 4, "aspect_ratio": "1:1"}, 14},
		{"bytedance/seedance-2", map[string]any{"duration": 5, "resolution": "480p", "reference_video_urls": []any{"https://a.b/c.mp4"}}, 57.5},
		{"nano-banana-pro", map[string]any{"resolution": "2K"}, 18},
		{"nano-banana-pro", map[string]any{"resolution": "4K"}, 24},
		{"ideogram/v3-text-to-image", map[string]any{"rendering_speed": "QUALITY"}, 10},
		{"seedream/5-pro-text-to-image", map[string]any{"quality": "high", "aspect_ratio": "1:1"}, 14},
		{"google/gemini-omni-flash-1-1", map[string]any{"duration": "6", "resolution": "720p"}, 84},
		{"google/gemini-omni-flash-1-1", map[string]any{"duration": "8", "resolution": "4k"}, 189},
		{"pixverse-v6/text-to-video", map[string]any{"aspect_ratio": "16:9", "quality": "540p", "duration": 5, "generate_audio_switch": true}, 36},
		{"bytedance/seedream-v4-text-to-image", map[string]any{"max_images": 3}, 15},
		{"elevenlabs/text-to-speech-turbo-2-5", map[string]any{"text": strings.Repeat("a", 500)}, 3},
		{"grok-imagine/text-to-image", map[string]any{"enable_pro": true}, 5},
		{"qwen/text-to-image", map[string]any{}, 4},
	} {
		if c.input["text"] == nil {
			c.input["prompt"] = "a boat"
		}
		if rec := a.ended(a.mustCreate(c.model, c.input, "")); rec.CreditsConsumed != c.credits {
			t.Errorf("%s %v: %v credits, want %v", c.model, c.input, rec.CreditsConsumed, c.credits)
		}
	}
}
