package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"kiosk/internal/catalog"
)

// maxRequest bounds what is read from stdin, in bytes.
const maxRequest = 1 << 20

func modelsRequestCommand() *cobra.Command {
	return &cobra.Command{
		Use: "request", Short: "Check a createTask body from stdin and print it as we would send it", Args: cobra.NoArgs,
		Long:    "Read {\"model\": …, \"input\": {…}} on stdin, check it against the catalog, fill in defaults and\nconstants, and print the body as it would be sent. Exit code 1 says what is wrong with it.",
		Example: `  echo '{"model":"z-image","input":{"prompt":"a cat"}}' | kiosk models request`,
		RunE: func(c *cobra.Command, _ []string) error {
			models, err := catalog.Embedded()
			if err != nil {
				return err
			}
			body, err := checkRequest(models, io.LimitReader(c.InOrStdin(), maxRequest))
			if err != nil {
				return err
			}
			return printJSON(c.OutOrStdout(), body)
		},
	}
}

// createTask is the body of the provider's create call.
type createTask struct {
	Model    string         `json:"model"`
	Callback string         `json:"callBackUrl,omitempty"`
	Input    map[string]any `json:"input"`
}

func checkRequest(models *catalog.Catalog, r io.Reader) (createTask, error) {
	var in createTask
	d := json.NewDecoder(r)
	d.UseNumber()
	d.DisallowUnknownFields()
	if err := d.Decode(&in); err != nil {
		return in, fmt.Errorf("read the body: %w; want {\"model\": …, \"input\": {…}}", err)
	}
	m, err := models.Get(in.Model)
	if err != nil {
		return in, fmt.Errorf("%w `kiosk models list` shows all", err)
	}
	values := catalog.Values{}
	for name, v := range in.Input {
		if fixed, ok := m.Constants[name]; ok {
			if fmt.Sprint(fixed) != fmt.Sprint(v) {
				return in, fmt.Errorf("%s is always %v here", name, fixed)
			}
			continue
		}
		if values[name], err = asText(m.Input(name), v); err != nil {
			return in, fmt.Errorf("%s: %w", name, err)
		}
	}
	full, err := m.Complete(values)
	if err != nil {
		return in, err
	}
	if in.Input, err = m.Request(full); err != nil {
		return in, err
	}
	return in, nil
}

// asText turns a JSON value into the text that the catalog checks. The JSON type
// must be the one that we would send.
func asText(in *catalog.Input, v any) (string, error) {
	if in == nil {
		return fmt.Sprint(v), nil // Complete says that there is no such input
	}
	switch v := v.(type) {
	case string:
		if in.Type != catalog.TypeBool && in.Type != catalog.TypeInteger && in.Send == "" {
			return v, nil
		}
	case bool:
		if in.Type == catalog.TypeBool {
			return fmt.Sprint(v), nil
		}
	case json.Number:
		if in.Type == catalog.TypeInteger || in.Send == catalog.SendInteger {
			return v.String(), nil
		}
	case []any:
		if in.Send == catalog.SendList {
			var lines []string
			for _, item := range v {
				s, ok := item.(string)
				if !ok || strings.Contains(s, "\n") {
					return "", fmt.Errorf("want an array of URLs")
				}
				lines = append(lines, s)
			}
			return strings.Join(lines, "\n"), nil
		}
	}
	return "", fmt.Errorf("%v has the wrong JSON type for this input", v)
}
