package kiesim

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
)

const (
	bucketLength = 10 * time.Minute
	bucketCount  = 144 // a day of buckets
)

// listing is a model as GET /api/v1/models shows it.
type listing struct {
	Model       string   `json:"model"`
	Slug        string   `json:"slug"`
	Title       string   `json:"title"`
	Provider    string   `json:"provider"`
	TaskType    []string `json:"taskType"`
	Description *string  `json:"description"`
	PricingDesc *string  `json:"pricingDesc"`
}

// listModels answers GET /api/v1/models?taskType=&provider=&q=.
func (s *Server) listModels(w *reply, r *http.Request) {
	q := r.URL.Query()
	found := []listing{}
	for _, m := range s.models.list {
		if l := m.listing(); m.listed() && l.fits(q.Get("taskType"), q.Get("provider"), q.Get("q")) {
			found = append(found, l)
		}
	}
	w.ok(map[string]any{"total": len(found), "models": found})
}

func (l listing) fits(taskType, provider, words string) bool {
	same := func(s string) bool { return strings.EqualFold(s, taskType) }
	return (taskType == "" || slices.ContainsFunc(l.TaskType, same)) &&
		(provider == "" || strings.EqualFold(l.Provider, provider)) &&
		strings.Contains(strings.ToLower(l.Model+" "+l.Title), strings.ToLower(words))
}

func (m *model) listing() listing {
	return listing{Model: m.ID, Slug: m.ID, Title: m.Title, Provider: m.provider(), TaskType: []string{m.taskType()},
		PricingDesc: m.pricingDesc()}
}

// provider is told from the id; the real catalog has its own spelling for some.
func (m *model) provider() string {
	name, _, _ := strings.Cut(m.ID, "/")
	name, _, _ = strings.Cut(name, "-")
	runes := []rune(name)
	runes[0] = unicode.ToUpper(runes[0])
	return string(runes)
}

// taskType is told from the id, else from what the model takes and makes.
func (m *model) taskType() string {
	for _, kind := range []string{"Text to Image", "Image to Image", "Text to Video", "Image to Video", "Text to Speech",
		"Speech to Video"} {
		if strings.Contains(m.ID, strings.ReplaceAll(strings.ToLower(kind), " ", "-")) {
			return kind
		}
	}
	takesImage := slices.ContainsFunc(m.Fields, func(f field) bool { return f.Required && strings.HasPrefix(f.Name, "image") })
	switch {
	case m.Modality == "audio":
		return "Text to Music"
	case m.Modality == "video":
		return pick(takesImage, "Image to Video", "Text to Video")
	}
	return pick(takesImage, "Image to Image", "Text to Image")
}

// pricingDesc says the tiers in a sentence, as the catalog does; nil where no price is known.
func (m *model) pricingDesc() *string {
	if m.Price == nil {
		return nil
	}
	var parts []string
	for _, t := range m.Price.Tiers {
		parts = append(parts, strings.TrimSpace(fmt.Sprintf("%s %g credits ($%g)", t.When, t.Credits, t.USD)))
	}
	text := m.Title + " costs " + strings.Join(parts, ", ") + " per " + m.Price.Unit + "."
	return &text
}

// describeModel answers GET /api/v1/models/{model}/schema, …/price and …/success-rate. The slash in a model's id is not
// escaped, so the last segment says what is asked.
func (s *Server) describeModel(w *reply, r *http.Request) {
	id, what := cutLast(r.PathValue("path"))
	m, ok := s.models.byID[id]
	if !ok || !m.listed() {
		w.envelope(http.StatusNotFound, unknownModel, nil)
		return
	}
	switch what {
	case "schema":
		w.ok(map[string]any{"model": m.ID, "openapi": m.openAPI()})
	case "price":
		w.ok(map[string]any{"model": m.ID, "prices": m.prices()})
	case "success-rate":
		w.ok(map[string]any{"model": m.ID, "buckets": successRate(time.Now())})
	default:
		unknownPath(w, r)
	}
}

func cutLast(p string) (head, tail string) {
	i := strings.LastIndexByte(p, '/')
	if i < 0 {
		return p, ""
	}
	return p[:i], p[i+1:]
}

// pricing is one tier; numbers are strings, as in the provider's price feed.
type pricing struct {
	ModelDescription string `json:"modelDescription"`
	InterfaceType    string `json:"interfaceType"`
	Provider         string `json:"provider"`
	CreditPrice      string `json:"creditPrice"`
	CreditUnit       string `json:"creditUnit"`
	USDPrice         string `json:"usdPrice"`
}

func (m *model) prices() []pricing {
	list := []pricing{}
	if m.Price == nil {
		return list
	}
	number := func(n float64) string { return strconv.FormatFloat(n, 'f', -1, 64) }
	for _, t := range m.Price.Tiers {
		list = append(list, pricing{
			ModelDescription: strings.TrimSuffix(m.Title+", "+t.When, ", "), InterfaceType: m.Modality, Provider: m.provider(),
			CreditPrice: number(t.Credits), CreditUnit: "per " + m.Price.Unit, USDPrice: number(t.USD),
		})
	}
	return list
}

type bucket struct {
	Start       int64   `json:"start"`
	End         int64   `json:"end"`
	SuccessRate float64 `json:"successRate"`
	ErrorRate   float64 `json:"errorRate"`
	IsNormal    bool    `json:"isNormal"`
}

// successRate is a day without trouble.
func successRate(now time.Time) []bucket {
	end := now.Truncate(bucketLength)
	buckets := make([]bucket, bucketCount)
	for i := range buckets {
		start := end.Add(-time.Duration(bucketCount-i) * bucketLength)
		buckets[i] = bucket{Start: start.UnixMilli(), End: start.Add(bucketLength).UnixMilli(), SuccessRate: 100, IsNormal: true}
	}
	return buckets
}

// openAPI is the smallest document that states the fields of a model.
func (m *model) openAPI() any {
	body := object(map[string]any{
		"model":       map[string]any{"type": "string", "enum": []string{m.ID}},
		"callBackUrl": map[string]any{"type": "string", "format": "uri"},
		"input":       objectSchema(m.Fields),
	}, []string{"model", "input"})
	content := map[string]any{"application/json": map[string]any{"schema": body}}
	operation := map[string]any{"summary": m.Title, "requestBody": map[string]any{"required": true, "content": content}}
	return map[string]any{
		"openapi": "3.1.0",
		"info":    map[string]any{"title": m.Title, "version": "1.0.0"},
		"paths":   map[string]any{"/api/v1/jobs/createTask": map[string]any{"post": operation}},
	}
}

func object(properties map[string]any, required []string) map[string]any {
	schema := map[string]any{"type": "object", "properties": properties}
	if len(required) > 0 {
		schema["required"] = required
	}
	return schema
}

func objectSchema(fields []field) map[string]any {
	properties, required := map[string]any{}, []string(nil)
	for i := range fields {
		f := &fields[i]
		name := f.Name
		if f.RawName != "" {
			name = f.RawName
		}
		properties[name] = f.schema()
		if f.Required {
			required = append(required, name)
		}
	}
	return object(properties, required)
}

func (f *field) schema() map[string]any {
	schema := map[string]any{"type": f.Type}
	if f.Type == "object" {
		schema = objectSchema(f.Fields)
	}
	set := func(key string, v any, known bool) {
		if known {
			schema[key] = v
		}
	}
	set("format", f.Format, f.Format != "")
	set("pattern", f.Pattern, f.Pattern != "")
	set("enum", f.Enum, f.Enum != nil)
	set("default", f.Default, f.Default != nil)
	set("minLength", f.MinLength, f.MinLength != nil)
	set("maxLength", f.MaxLength, f.MaxLength != nil)
	set("minItems", f.MinItems, f.MinItems != nil)
	set("maxItems", f.MaxItems, f.MaxItems != nil)
	set("minimum", f.Minimum, f.Minimum != nil)
	set("maximum", f.Maximum, f.Maximum != nil)
	set("multipleOf", f.MultipleOf, f.MultipleOf != nil)
	if f.Items != nil {
		set("items", f.Items.schema(), true)
	}
	return schema
}
