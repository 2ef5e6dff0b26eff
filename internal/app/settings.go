package app

import (
	"fmt"
	"reflect"
	"strings"
)

// Setting is one line of the table of settings.
type Setting struct {
	Name     string `json:"name"`
	Value    string `json:"value"` // masked when it is a secret
	Default  string `json:"default"`
	Required bool   `json:"required"`
	Secret   bool   `json:"secret"`
	Example  string `json:"-"`
	Desc     string `json:"description"`

	value string
}

// Settings lists all settings with the values in force, secrets masked.
func (c Config) Settings() []Setting {
	t, v := reflect.TypeFor[Config](), reflect.ValueOf(c)
	list := make([]Setting, 0, t.NumField())
	for i := range t.NumField() {
		f := t.Field(i)
		s := Setting{
			Name: f.Tag.Get("env"), Default: f.Tag.Get("envDefault"), Required: f.Tag.Get("required") == "yes",
			Example: f.Tag.Get("example"), Desc: f.Tag.Get("desc"),
			Secret: f.Type == reflect.TypeFor[Secret](), value: fmt.Sprint(v.Field(i).Interface()),
		}
		s.Value = s.value // String masks a Secret
		list = append(list, s)
	}
	return list
}

func names() []string {
	var list []string
	for _, s := range (Config{}).Settings() {
		list = append(list, s.Name)
	}
	return list
}

// secrets lists the values that must never be printed.
func (c Config) secrets() []string {
	var list []string
	for _, v := range reflect.ValueOf(c).Fields() {
		if s, ok := reflect.TypeAssert[Secret](v); ok && s != "" {
			list = append(list, s.Reveal())
		}
	}
	return list
}

// SettingsMarkdown renders the README's table.
func SettingsMarkdown() string {
	var b strings.Builder
	b.WriteString("| name | default | meaning |\n|---|---|---|\n")
	for _, s := range (Config{}).Settings() {
		value := "`" + s.Default + "`"
		switch {
		case s.Required:
			value = "required"
		case s.Default == "":
			value = "none"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", s.Name, value, s.Desc)
	}
	return b.String()
}

// EnvExample renders .env.example.
func EnvExample() string {
	var b strings.Builder
	b.WriteString("# Settings of Kiosk. Copy to .env, fill in, and start with KIOSK_ENV_FILE=.env\n")
	for _, s := range (Config{}).Settings() {
		fmt.Fprintf(&b, "\n# %s\n", s.Desc)
		if s.Required || s.Name == "WEBHOOK_BASE_URL" {
			fmt.Fprintf(&b, "%s=%s\n", s.Name, s.Example)
			continue
		}
		fmt.Fprintf(&b, "#%s=%s\n", s.Name, s.Default)
	}
	return b.String()
}
