package catalog

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"kiosk/internal/fault"
)

// Values is what a person has filled in, by field name, as text.
type Values map[string]string

// Problem says what is wrong with one value.
type Problem string

// The problems that a value can have.
const (
	Missing   Problem = "missing"
	TooShort  Problem = "too_short"
	TooLong   Problem = "too_long"
	NotOption Problem = "not_an_option"
	NotNumber Problem = "not_a_number"
	OutOf     Problem = "out_of_range"
	NoField   Problem = "no_such_field"
	TooMany   Problem = "too_many_files"
)

// InputError is a value that the model does not take. Limit and Have are set
// where they mean something, in characters for texts.
type InputError struct {
	Field   string
	Problem Problem
	Limit   int64
	Have    int64
}

// Error says it in English, for operators and the command line.
func (e *InputError) Error() string {
	switch e.Problem {
	case Missing:
		return fmt.Sprintf("%s is required", e.Field)
	case TooShort, TooLong:
		return fmt.Sprintf("%s has %d characters, the limit is %d", e.Field, e.Have, e.Limit)
	case NotOption:
		return fmt.Sprintf("%s is none of the options", e.Field)
	case NotNumber:
		return fmt.Sprintf("%s is not a whole number", e.Field)
	case OutOf:
		return fmt.Sprintf("%s is %d, the limit is %d", e.Field, e.Have, e.Limit)
	case TooMany:
		return fmt.Sprintf("%s has %d files, the limit is %d", e.Field, e.Have, e.Limit)
	case NoField:
		return fmt.Sprintf("the model has no input %q", e.Field)
	}
	return e.Field + " is not valid"
}

// Unwrap classifies the error.
func (e *InputError) Unwrap() error { return fault.New(fault.Invalid, e.Error()) }

// Complete checks the values and fills in defaults. It returns a new map with
// every field that will be sent. The error is an *InputError.
func (m *Model) Complete(values Values) (Values, error) {
	for name := range values {
		if m.Input(name) == nil {
			return nil, &InputError{Field: name, Problem: NoField}
		}
	}
	full := make(Values, len(m.Inputs))
	for _, in := range m.Inputs {
		v := strings.TrimSpace(values[in.Name])
		if v == "" {
			v = in.Default
		}
		if v == "" {
			if in.Required {
				return nil, &InputError{Field: in.Name, Problem: Missing}
			}
			continue
		}
		if err := in.check(v); err != nil {
			return nil, err
		}
		full[in.Name] = v
	}
	return full, nil
}

// CheckOne checks one value alone, as soon as a person has given it.
func (m *Model) CheckOne(name, value string) error {
	in := m.Input(name)
	if in == nil {
		return &InputError{Field: name, Problem: NoField}
	}
	value = strings.TrimSpace(value)
	if value == "" {
		return &InputError{Field: name, Problem: Missing}
	}
	return in.check(value)
}

func (in *Input) check(v string) error {
	switch in.Type {
	case TypeText:
		return in.checkText(v)
	case TypeChoice:
		if !slices.Contains(in.Options, v) {
			return &InputError{Field: in.Name, Problem: NotOption}
		}
	case TypeInteger:
		return in.checkInteger(v)
	case TypeBool:
		if v != "true" && v != "false" {
			return &InputError{Field: in.Name, Problem: NotOption}
		}
	case TypeImage, TypeAudio, TypeVideo:
		if n := len(Files(v)); n > in.MaxItems {
			return &InputError{Field: in.Name, Problem: TooMany, Limit: int64(in.MaxItems), Have: int64(n)}
		}
	}
	return nil
}

// Files splits the value of a file field into its references, one a line.
func Files(value string) []string {
	return strings.FieldsFunc(value, func(r rune) bool { return r == '\n' })
}

func (in *Input) checkText(v string) error {
	n := utf8.RuneCountInString(v)
	if in.MaxLength > 0 && n > in.MaxLength {
		return &InputError{Field: in.Name, Problem: TooLong, Limit: int64(in.MaxLength), Have: int64(n)}
	}
	if n < in.MinLength {
		return &InputError{Field: in.Name, Problem: TooShort, Limit: int64(in.MinLength), Have: int64(n)}
	}
	return nil
}

func (in *Input) checkInteger(v string) error {
	n, err := strconv.ParseInt(v, 10, 64)
	if err != nil {
		return &InputError{Field: in.Name, Problem: NotNumber}
	}
	if in.Min != nil && n < *in.Min {
		return &InputError{Field: in.Name, Problem: OutOf, Limit: *in.Min, Have: n}
	}
	if in.Max != nil && n > *in.Max {
		return &InputError{Field: in.Name, Problem: OutOf, Limit: *in.Max, Have: n}
	}
	return nil
}

// Request builds the provider's input from values that Complete returned: every
// value in the JSON type that the provider wants, and the model's constants.
func (m *Model) Request(full Values) (map[string]any, error) {
	body := make(map[string]any, len(full)+len(m.Constants))
	maps.Copy(body, m.Constants)
	for name, v := range full {
		in := m.Input(name)
		if in == nil {
			return nil, &InputError{Field: name, Problem: NoField}
		}
		value, err := in.wire(v)
		if err != nil {
			return nil, err
		}
		body[name] = value
	}
	return body, nil
}

func (in *Input) wire(v string) (any, error) {
	switch {
	case in.Type.IsFile() && in.Send == SendList:
		return Files(v), nil
	case in.Type == TypeBool:
		return v == "true", nil
	case in.Type == TypeInteger || in.Send == SendInteger:
		n, err := strconv.ParseInt(v, 10, 64)
		if err != nil {
			return nil, &InputError{Field: in.Name, Problem: NotNumber}
		}
		return n, nil
	}
	return v, nil
}
