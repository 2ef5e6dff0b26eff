package smoke_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"strconv"
	"strings"
	"testing"

	"kiosk/internal/smoke"
)

// An operator who reads a line of smoke finds it, word by word, in the documents.
func TestPage_TheDocumentsHaveEveryText(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile("../../docs/troubleshooting.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, ok := strings.Cut(string(raw), "\n## What smoke says\n")
	if !ok || !strings.Contains(section, smoke.Page()) {
		t.Errorf("docs/troubleshooting.md does not have the table; put this under \"What smoke says\":\n%s", smoke.Page())
	}
}

// A text without a remark would have no remedy; one that stands twice, two.
func TestTexts_EachHasExactlyOneRemark(t *testing.T) {
	t.Parallel()
	f, err := parser.ParseFile(token.NewFileSet(), "trouble.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	remarks := map[string]int{}
	for _, text := range smoke.Texts() {
		remarks[text]++
	}
	texts := 0
	ast.Inspect(f, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok || len(spec.Values) != 1 {
			return true
		}
		lit, ok := spec.Values[0].(*ast.BasicLit)
		if !ok {
			return true
		}
		text, err := strconv.Unquote(lit.Value)
		if err != nil {
			t.Fatal(err)
		}
		texts++
		if remarks[text] != 1 {
			t.Errorf("%q has %d remarks", text, remarks[text])
		}
		return true
	})
	if texts < 60 || texts != len(remarks) {
		t.Errorf("%d texts and %d remarks", texts, len(remarks))
	}
}
