package hack

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"strconv"
	"strings"
	"testing"
)

// TestReasonsAreExplained holds every reason of a condition or an event against the page that explains them.
func TestReasonsAreExplained(t *testing.T) {
	page, err := os.ReadFile("../docs/how-to/reasons.md")
	if err != nil {
		t.Fatal(err)
	}
	reasons := reasonsOf(t, "../api/v1/status_types.go")
	if len(reasons) == 0 {
		t.Fatal("no reason was found")
	}
	for name, reason := range reasons {
		if !strings.Contains(string(page), "`"+reason+"`") {
			t.Errorf("docs/how-to/reasons.md does not explain `%s` (%s)", reason, name)
		}
	}
}

// reasonsOf are the values of a file's constants whose names begin with Reason.
func reasonsOf(t *testing.T, path string) map[string]string {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	reasons := map[string]string{}
	ast.Inspect(file, func(node ast.Node) bool {
		spec, ok := node.(*ast.ValueSpec)
		if !ok {
			return true
		}
		for i, name := range spec.Names {
			if !strings.HasPrefix(name.Name, "Reason") {
				continue
			}
			literal, ok := spec.Values[i].(*ast.BasicLit)
			if !ok {
				t.Fatalf("%s is not a literal", name.Name)
			}
			if reasons[name.Name], err = strconv.Unquote(literal.Value); err != nil {
				t.Fatal(err)
			}
		}
		return false
	})
	return reasons
}
