package catalog

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
)

//go:embed models/*.yaml
var embedded embed.FS

// Embedded returns the catalog that is compiled into the program.
func Embedded() (*Catalog, error) {
	sub, err := fs.Sub(embedded, "models")
	if err != nil {
		return nil, fmt.Errorf("open the embedded models: %w", err)
	}
	return Load(sub)
}

// Load reads every .yaml file of fsys. It refuses unknown keys, missing parts,
// ids used twice, prices that do not cover all options and examples that are
// not valid, and reports all files that are wrong at once.
func Load(fsys fs.FS) (*Catalog, error) {
	names, err := fs.Glob(fsys, "*.yaml")
	if err != nil {
		return nil, fmt.Errorf("list models: %w", err)
	}
	var models []*Model
	var problems []error
	seen := map[string]string{}
	for _, name := range names {
		m, err := LoadFile(fsys, name)
		if err != nil {
			problems = append(problems, err)
			continue
		}
		if other, twice := seen[m.ID]; twice {
			problems = append(problems, fmt.Errorf("%s: the id %q is used by %s, too", name, m.ID, other))
			continue
		}
		seen[m.ID] = name
		models = append(models, m)
	}
	if err := errors.Join(problems...); err != nil {
		return nil, err
	}
	return newCatalog(models), nil
}

// LoadFile reads and checks one model.
func LoadFile(fsys fs.FS, name string) (*Model, error) {
	raw, err := fs.ReadFile(fsys, name)
	if err != nil {
		return nil, fmt.Errorf("read model: %w", err)
	}
	m, err := Parse(raw)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return m, nil
}

// Parse reads and checks one model.
func Parse(raw []byte) (*Model, error) {
	var m Model
	if err := yaml.UnmarshalWithOptions(raw, &m, yaml.Strict()); err != nil {
		return nil, errors.New(strings.TrimSpace(yaml.FormatError(err, false, true)))
	}
	if err := errors.Join(m.problems()...); err != nil {
		return nil, err
	}
	return &m, nil
}

// maxID keeps every button that names a model within Telegram's 64 bytes.
const maxID = 48

// problems lists everything that is wrong with a model.
func (m *Model) problems() []error {
	var list []error
	add := func(format string, args ...any) { list = append(list, fmt.Errorf(format, args...)) }
	if !regexp.MustCompile(`^[a-z0-9][a-z0-9./_-]*$`).MatchString(m.ID) || len(m.ID) > maxID {
		add("id %q: want at most %d of a-z 0-9 . / _ -", m.ID, maxID)
	}
	if m.Title == "" || m.About.EN == "" || m.About.RU == "" {
		add("title and about (en, ru) are required")
	}
	if m.Provider != "kie" {
		add("provider %q is not known; want kie", m.Provider)
	}
	if !slices.Contains(Categories(), m.Category) {
		add("category %q is none of %v", m.Category, Categories())
	}
	if m.Seconds <= 0 {
		add("seconds: want how long a run usually takes")
	}
	for _, in := range m.Inputs {
		list = append(list, in.problems()...)
	}
	if m.Prompt() == nil {
		add("inputs: want at least one of type text")
	}
	if len(list) > 0 {
		return list
	}
	return m.priceProblems()
}

func (in *Input) problems() []error {
	var list []error
	add := func(format string, args ...any) {
		list = append(list, fmt.Errorf("input %q: %s", in.Name, fmt.Sprintf(format, args...)))
	}
	if in.Name == "" || in.Label.EN == "" || in.Label.RU == "" {
		add("name and label (en, ru) are required")
	}
	switch in.Type {
	case TypeChoice:
		if len(in.Options) < 2 {
			add("a choice wants at least two options")
		}
	case TypeImage, TypeAudio, TypeVideo:
		if in.MaxItems < 1 || in.MaxItems > 1 && in.Send != SendList {
			add("files want max_items, and send: list when there may be several")
		}
	case TypeText, TypeInteger, TypeBool:
		if len(in.Options) > 0 {
			add("options are for a choice")
		}
	default:
		add("type %q is none of text, choice, integer, bool, image, audio, video", in.Type)
	}
	if in.Type != TypeText && !in.Type.IsFile() && in.Default == "" && in.Required {
		add("a required field that is neither typed nor sent wants a default")
	}
	if in.Default != "" && in.check(in.Default) != nil {
		add("the default %q is not valid", in.Default)
	}
	if in.Send != "" && in.Send != SendInteger && in.Send != SendList {
		add("send %q is not known; want integer or list", in.Send)
	}
	return list
}

// priceProblems proves that every combination of priced options has a price and
// that the example is a valid order.
func (m *Model) priceProblems() []error {
	var list []error
	if len(m.Price.Tiers) == 0 || m.Price.AsOf == "" {
		list = append(list, errors.New("price: tiers and as_of are required"))
	}
	if q := m.Price.Quantity; q != "" && (m.Input(q) == nil || (m.Input(q).Type == TypeText) != (m.Price.Per > 0)) {
		list = append(list, fmt.Errorf("price: quantity %q: want an input with numbers, or a text together with per", q))
	}
	for _, t := range m.Price.Tiers {
		for name, v := range t.When {
			if err := m.CheckOne(name, v); err != nil {
				list = append(list, fmt.Errorf("price condition: %w", err))
			}
		}
	}
	full, err := m.Complete(m.ExampleValues())
	if err != nil {
		return append(list, fmt.Errorf("example: %w", err))
	}
	for _, combination := range m.pricedOptions(full) {
		if _, err := m.Cost(combination); err != nil {
			list = append(list, fmt.Errorf("price: %w: %v", err, combination))
		}
	}
	return list
}

// pricedOptions returns the example with every combination of the choices that
// a price condition or the quantity looks at.
func (m *Model) pricedOptions(full Values) []Values {
	looked := map[string]bool{m.Price.Quantity: true}
	for _, t := range m.Price.Tiers {
		for name := range t.When {
			looked[name] = true
		}
	}
	all := []Values{full}
	for _, in := range m.Inputs {
		options := in.Options
		if in.Type == TypeBool {
			options = []string{"true", "false"}
		}
		if !looked[in.Name] || len(options) == 0 {
			continue
		}
		var next []Values
		for _, v := range all {
			for _, o := range options {
				c := Values{}
				maps.Copy(c, v)
				c[in.Name] = o
				next = append(next, c)
			}
		}
		all = next
	}
	return all
}
