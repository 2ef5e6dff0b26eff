package kiesim

import (
	"fmt"
	"math"
	"net/url"
	"reflect"
	"slices"
	"unicode/utf8"
)

// check returns what is wrong with an input in the provider's words, or "". Fields that the model does not have are
// ignored, and null counts as absent, as the provider does.
func (m *model) check(sent map[string]any) string {
	if problem := checkFields(m.Fields, sent, ""); problem != "" {
		return problem
	}
	return m.checkVariants(sent)
}

// checkVariants wants the input to fit one of the variants, and speaks of the first when it fits none.
func (m *model) checkVariants(sent map[string]any) string {
	first := ""
	for _, v := range m.Variants {
		problem := checkFields(v.Fields, sent, "")
		if problem == "" {
			return ""
		}
		if first == "" {
			first = problem
		}
	}
	return first
}

func checkFields(fields []field, values map[string]any, within string) string {
	for i := range fields {
		f := &fields[i]
		v, ok := f.value(values)
		if !ok {
			if f.Required {
				return within + f.Name + " is required"
			}
			continue
		}
		if problem := f.check(v, within+f.Name); problem != "" {
			return problem
		}
	}
	return ""
}

// value finds the field by its name or by its published spelling.
func (f *field) value(values map[string]any) (any, bool) {
	v := values[f.Name]
	if v == nil && f.RawName != "" {
		v = values[f.RawName]
	}
	// An empty string in a required field is a missing field to the provider.
	if s, isText := v.(string); isText && s == "" && f.Required {
		return nil, false
	}
	return v, v != nil
}

func (f *field) check(v any, name string) string {
	switch f.Type {
	case "string":
		return f.checkString(v, name)
	case "boolean":
		if _, ok := v.(bool); !ok {
			return name + " must be a boolean"
		}
	case "integer", "number":
		return f.checkNumber(v, name)
	case "array":
		return f.checkArray(v, name)
	case "object":
		object, ok := v.(map[string]any)
		if !ok {
			return name + " must be an object"
		}
		return checkFields(f.Fields, object, name+".")
	}
	return ""
}

func (f *field) checkString(v any, name string) string {
	s, ok := v.(string)
	switch n := utf8.RuneCountInString(s); {
	case !ok:
		return name + " must be a string"
	case f.excludes(v):
		return name + " is not within the range of allowed options"
	case f.MaxLength != nil && n > *f.MaxLength:
		return fmt.Sprintf("%s cannot exceed %d characters", name, *f.MaxLength)
	case f.MinLength != nil && n < *f.MinLength:
		return fmt.Sprintf("%s must have at least %d characters", name, *f.MinLength)
	case f.pattern != nil && !f.pattern.MatchString(s):
		return name + " does not match the required format"
	case f.Format == "uri" && !isFileURL(s):
		return name + " is not a valid URL"
	}
	return ""
}

func (f *field) checkNumber(v any, name string) string {
	n, ok := v.(float64)
	switch {
	case !ok:
		return name + " must be a number"
	case f.Type == "integer" && n != math.Trunc(n):
		return name + " must be an integer"
	case f.excludes(v):
		return name + " is not within the range of allowed options"
	case f.Minimum != nil && n < *f.Minimum:
		return fmt.Sprintf("%s cannot be less than %g", name, *f.Minimum)
	case f.Maximum != nil && n > *f.Maximum:
		return fmt.Sprintf("%s cannot be greater than %g", name, *f.Maximum)
	case f.MultipleOf != nil && !isMultiple(n, *f.MultipleOf):
		return fmt.Sprintf("%s must be a multiple of %g", name, *f.MultipleOf)
	}
	return ""
}

func (f *field) checkArray(v any, name string) string {
	items, ok := v.([]any)
	switch {
	case !ok:
		return name + " must be an array"
	case f.MaxItems != nil && len(items) > *f.MaxItems:
		return fmt.Sprintf("%s cannot have more than %d items", name, *f.MaxItems)
	case f.MinItems != nil && len(items) < *f.MinItems:
		return fmt.Sprintf("%s must have at least %d items", name, *f.MinItems)
	case f.Items == nil:
		return ""
	}
	for i, item := range items {
		if problem := f.Items.check(item, fmt.Sprintf("%s[%d]", name, i)); problem != "" {
			return problem
		}
	}
	return ""
}

func (f *field) excludes(v any) bool {
	if len(f.Enum) == 0 {
		return false
	}
	return !slices.ContainsFunc(f.Enum, func(allowed any) bool { return reflect.DeepEqual(allowed, v) })
}

// isMultiple allows for steps such as 0.1, which have no exact float.
func isMultiple(n, step float64) bool {
	if step <= 0 {
		return true
	}
	return math.Abs(n/step-math.Round(n/step)) < 1e-6
}

func isFileURL(s string) bool {
	u, err := url.Parse(s)
	if err != nil || u.Host == "" {
		return false
	}
	return slices.Contains([]string{"http", "https", "oss", "asset"}, u.Scheme)
}

// refused reports whether a moderator would refuse the text.
func refused(text string) bool {
	return slices.ContainsFunc(words(text), func(w string) bool {
		return slices.Contains([]string{"nsfw", "nude", "naked", "porn", "gore", "порно", "голая", "голый", "обнажённая"}, w)
	})
}
