package kiesim

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
)

//go:embed models.json
var modelsJSON []byte

// createEndpoint marks the models of the unified jobs API; the other entries of models.json are dedicated families.
const createEndpoint = "POST /api/v1/jobs/createTask"

// catalog is the set of models that createTask knows. It never changes.
type catalog struct {
	list []*model // in the order of publication
	byID map[string]*model
}

type model struct {
	ID       string    `json:"id"`
	Title    string    `json:"title"`
	Modality string    `json:"modality"` // image, video or audio
	Status   string    `json:"status"`
	Endpoint string    `json:"endpoint"`
	Price    *price    `json:"price"` // nil when no price is known
	Fields   []field   `json:"fields"`
	Variants []variant `json:"input_variants"` // the input must fit one of them, if there are any
}

type price struct {
	Unit  string `json:"unit"`
	Tiers []tier `json:"tiers"`
}

type tier struct {
	When    string  `json:"when"` // words about the input, such as "720p no audio"; "" always holds
	Credits float64 `json:"credits"`
	USD     float64 `json:"usd"`
}

type variant struct {
	Required []string `json:"required"`
	Fields   []field  `json:"fields"`
}

// field is one input field, or (without a name) the element of an array.
type field struct {
	Name       string   `json:"name"`
	RawName    string   `json:"raw_name"` // the published spelling where it differs (a trailing space)
	Required   bool     `json:"required"`
	Type       string   `json:"type"` // string, boolean, integer, number, array or object
	Format     string   `json:"format"`
	Pattern    string   `json:"pattern"`
	Enum       []any    `json:"enum"`
	Default    any      `json:"default"`
	MinLength  *int     `json:"minLength"`
	MaxLength  *int     `json:"maxLength"`
	MinItems   *int     `json:"minItems"`
	MaxItems   *int     `json:"maxItems"`
	Minimum    *float64 `json:"minimum"`
	Maximum    *float64 `json:"maximum"`
	MultipleOf *float64 `json:"multipleOf"`
	Items      *field   `json:"items"`
	Fields     []field  `json:"fields"` // of an object

	pattern *regexp.Regexp
}

func loadCatalog() (*catalog, error) {
	var all []*model
	if err := json.Unmarshal(modelsJSON, &all); err != nil {
		return nil, err
	}
	c := &catalog{byID: map[string]*model{}}
	for _, m := range all {
		if m.Endpoint != createEndpoint {
			continue
		}
		if err := m.compile(); err != nil {
			return nil, fmt.Errorf("model %s: %w", m.ID, err)
		}
		c.list = append(c.list, m)
		c.byID[m.ID] = m
	}
	return c, nil
}

// listed reports whether the provider's catalog shows the model: delisted ones are accepted, but not shown.
func (m *model) listed() bool { return strings.HasPrefix(m.Status, "in_catalog") }

func (m *model) compile() error {
	if err := compileFields(m.Fields); err != nil {
		return err
	}
	for i := range m.Variants {
		if err := compileFields(m.Variants[i].Fields); err != nil {
			return err
		}
	}
	return nil
}

func compileFields(fields []field) error {
	for i := range fields {
		if err := fields[i].compile(); err != nil {
			return fmt.Errorf("field %s: %w", fields[i].Name, err)
		}
	}
	return nil
}

func (f *field) compile() (err error) {
	if f.Pattern != "" {
		// The published patterns are anchored and mean one line or many alike.
		if f.pattern, err = regexp.Compile("(?s)" + f.Pattern); err != nil {
			return err
		}
	}
	if f.Items != nil {
		if err := f.Items.compile(); err != nil {
			return err
		}
	}
	return compileFields(f.Fields)
}

// complete returns the input as the model sees it: published defaults filled in.
func (m *model) complete(sent map[string]any) input {
	in := input{}
	for _, f := range m.Fields {
		if f.Default != nil {
			in[f.Name] = f.Default
		}
		if v, ok := f.value(sent); ok {
			in[f.Name] = v
		}
	}
	for name, v := range sent {
		if _, known := in[name]; !known && v != nil {
			in[name] = v
		}
	}
	return in
}

// input is what a client asked of a model.
type input map[string]any

// text returns the first of the named fields that holds text.
func (in input) text(names ...string) string {
	for _, name := range names {
		if s, ok := in[name].(string); ok && s != "" {
			return s
		}
	}
	return ""
}

// number returns the first of the named fields that holds a number, be it written as a string. The unit of seconds and a
// trailing "s" are tolerated, because some models spell durations so.
func (in input) number(names ...string) (float64, bool) {
	for _, name := range names {
		switch v := in[name].(type) {
		case float64:
			return v, true
		case string:
			var n float64
			if _, err := fmt.Sscanf(v, "%g", &n); err == nil {
				return n, true
			}
		}
	}
	return 0, false
}

// has reports whether one of the named fields holds something other than emptiness.
func (in input) has(names ...string) bool {
	for _, name := range names {
		switch v := in[name].(type) {
		case string:
			if v != "" {
				return true
			}
		case []any:
			if len(v) > 0 {
				return true
			}
		case bool:
			if v {
				return true
			}
		case float64:
			return true
		}
	}
	return false
}

// prompt is the text that a result is made from and that a moderator reads.
func (in input) prompt() string {
	if s := in.text("prompt", "text", "lyrics", "full_lyrics", "content", "scene", "style", "title", "tags"); s != "" {
		return s
	}
	for _, name := range []string{"dialogue", "dialogue_turns", "multi_prompt", "shots"} {
		turns, _ := in[name].([]any)
		var said []string
		for _, turn := range turns {
			if t, ok := turn.(map[string]any); ok {
				said = append(said, input(t).text("text", "prompt", "Scene"))
			}
		}
		if s := strings.TrimSpace(strings.Join(said, " ")); s != "" {
			return s
		}
	}
	return ""
}
