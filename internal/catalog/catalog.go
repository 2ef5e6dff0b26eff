// Package catalog knows the models: what each takes, how its input is checked,
// what it costs, and how its request is built. A model is one YAML file; there
// is no Go code per model.
//
// The package is pure: no database, no network, no clock. A catalog never
// changes after it was loaded, so it is safe for concurrent use.
package catalog

import (
	"fmt"
	"slices"
	"strings"

	"kiosk/internal/fault"
)

// Category groups models on the first screen.
type Category string

// The categories in the order in which people see them.
const (
	Image  Category = "image"
	Video  Category = "video"
	Music  Category = "music"
	Speech Category = "speech"
)

// Categories lists all categories in the order of the first screen.
func Categories() []Category { return []Category{Image, Video, Music, Speech} }

// Text is a phrase in the languages that the bot speaks.
type Text struct {
	EN string `yaml:"en" json:"en"`
	RU string `yaml:"ru" json:"ru"`
}

// In returns the phrase in a language, English for unknown ones.
func (t Text) In(language string) string {
	if language == "ru" {
		return t.RU
	}
	return t.EN
}

// Model is one entry of the catalog.
type Model struct {
	ID        string         `yaml:"id" json:"id"` // the provider's own name
	Title     string         `yaml:"title" json:"title"`
	Provider  string         `yaml:"provider" json:"provider"`
	Category  Category       `yaml:"category" json:"category"`
	About     Text           `yaml:"about" json:"about"`
	Free      bool           `yaml:"free" json:"free"`       // may be run within the free daily allowance
	Seconds   int            `yaml:"seconds" json:"seconds"` // how long a run usually takes
	Inputs    []Input        `yaml:"inputs" json:"inputs"`
	Constants map[string]any `yaml:"constants" json:"constants,omitempty"` // sent with every request
	Price     Price          `yaml:"price" json:"price"`
	Example   map[string]any `yaml:"example" json:"example"` // input that must be valid
}

// Input is one field that a person fills or leaves at its default.
type Input struct {
	Name      string   `yaml:"name" json:"name"`
	Type      Type     `yaml:"type" json:"type"`
	Label     Text     `yaml:"label" json:"label"`
	Required  bool     `yaml:"required" json:"required"`
	MinLength int      `yaml:"min_length" json:"min_length,omitempty"` // text, in characters
	MaxLength int      `yaml:"max_length" json:"max_length,omitempty"`
	Options   []string `yaml:"options" json:"options,omitempty"` // choice
	Min       *int64   `yaml:"min" json:"min,omitempty"`         // integer
	Max       *int64   `yaml:"max" json:"max,omitempty"`
	Default   string   `yaml:"default" json:"default,omitempty"`
	MaxItems  int      `yaml:"max_items" json:"max_items,omitempty"` // files, at least 1
	Unit      Text     `yaml:"unit" json:"unit,omitzero"`            // shown after a value
	Send      Send     `yaml:"send" json:"send,omitempty"`
}

// Type is how a field is asked for and checked.
type Type string

// The types of input.
const (
	TypeText    Type = "text"
	TypeChoice  Type = "choice"
	TypeInteger Type = "integer"
	TypeBool    Type = "bool"
	TypeImage   Type = "image" // files that a person sends: one reference a line
	TypeAudio   Type = "audio"
	TypeVideo   Type = "video"
)

// IsFile reports that a field is filled by sending files.
func (t Type) IsFile() bool { return t == TypeImage || t == TypeAudio || t == TypeVideo }

// Send is the JSON type that the provider wants; by default that of the Type.
type Send string

// The ways of sending that differ from a field's type.
const (
	SendInteger Send = "integer" // a choice of numbers as a number
	SendList    Send = "list"    // files as an array, also when there is one
)

// Catalog is a set of models.
type Catalog struct {
	models []*Model
	byID   map[string]*Model
}

// List returns the models of a category by title, all of them for "".
func (c *Catalog) List(category Category) []*Model {
	var list []*Model
	for _, m := range c.models {
		if category == "" || m.Category == category {
			list = append(list, m)
		}
	}
	return list
}

// Find returns the model with this id, or nil.
func (c *Catalog) Find(id string) *Model { return c.byID[id] }

// Get returns the model with this id, or a not_found error that people may read.
func (c *Catalog) Get(id string) (*Model, error) {
	if m := c.byID[id]; m != nil {
		return m, nil
	}
	return nil, fault.New(fault.NotFound, fmt.Sprintf("There is no model %q.", id))
}

func newCatalog(models []*Model) *Catalog {
	c := &Catalog{models: models, byID: make(map[string]*Model, len(models))}
	for _, m := range models {
		c.byID[m.ID] = m
	}
	slices.SortFunc(c.models, func(a, b *Model) int { return strings.Compare(a.Title, b.Title) })
	return c
}

// Input returns the field of this name, or nil.
func (m *Model) Input(name string) *Input {
	for i := range m.Inputs {
		if m.Inputs[i].Name == name {
			return &m.Inputs[i]
		}
	}
	return nil
}

// ExampleValues returns the example as a person would have filled it in.
func (m *Model) ExampleValues() Values {
	values := make(Values, len(m.Example))
	for name, v := range m.Example {
		values[name] = fmt.Sprint(v)
	}
	return values
}

// Prompt returns the field that a typed message fills: the first text field.
func (m *Model) Prompt() *Input {
	for i := range m.Inputs {
		if m.Inputs[i].Type == TypeText {
			return &m.Inputs[i]
		}
	}
	return nil
}

// FileInput returns the first field that files of this type fill, or nil.
func (m *Model) FileInput(t Type) *Input {
	for i := range m.Inputs {
		if m.Inputs[i].Type == t {
			return &m.Inputs[i]
		}
	}
	return nil
}

// NextMissing returns the first required field, files first, that has neither a
// value nor a default, or nil when the model can run.
func (m *Model) NextMissing(values Values) *Input {
	var missing *Input
	for i := range m.Inputs {
		in := &m.Inputs[i]
		if !in.Required || in.Default != "" || strings.TrimSpace(values[in.Name]) != "" {
			continue
		}
		if in.Type.IsFile() {
			return in
		}
		if missing == nil {
			missing = in
		}
	}
	return missing
}

// ResultKind is the kind of file that the model makes, as chats show it.
func (m *Model) ResultKind() string {
	switch m.Category {
	case Image:
		return "image"
	case Video:
		return "video"
	case Music, Speech:
		return "audio"
	}
	return "file"
}
