package simulator_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/queuescaler/queuescaler/internal/heroku/simulator"
)

// The schema of the Platform API travels in heroku-go's module. It hardly requires anything, so that
// plain validation would take {}: where it says strictProperties, all are required and no others are
// allowed. Its root $schema cannot be fetched, and one pattern needs a lookahead that Go has not.
var platformSchema = sync.OnceValues(func() (*jsonschema.Compiler, error) {
	dir, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/heroku/heroku-go/v5").Output()
	if err != nil {
		return nil, err
	}
	text, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(dir)), "schema.json"))
	if err != nil {
		return nil, err
	}
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	addDynoSize(document)
	tighten(document)
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	return c, c.AddResource("platform.json", document)
})

// addDynoSize adds the property that the API has sent since the schema was written.
func addDynoSize(document any) {
	definitions := document.(map[string]any)["definitions"].(map[string]any)
	for _, name := range []string{"formation", "dyno"} {
		properties := definitions[name].(map[string]any)["properties"].(map[string]any)
		properties["dyno_size"] = map[string]any{
			"type":             "object",
			"strictProperties": true,
			"properties":       map[string]any{"id": map[string]any{"type": "string"}, "name": map[string]any{"type": "string"}},
		}
	}
}

func tighten(node any) {
	switch node := node.(type) {
	case []any:
		for _, child := range node {
			tighten(child)
		}
	case map[string]any:
		for _, child := range node {
			tighten(child)
		}
		if _, ok := node["$schema"].(string); ok {
			delete(node, "$schema")
		}
		if pattern, ok := node["pattern"].(string); ok && strings.Contains(pattern, "(?!") {
			delete(node, "pattern")
		}
		if node["strictProperties"] == true {
			required := []any{}
			properties, _ := node["properties"].(map[string]any)
			for name := range properties {
				required = append(required, name)
			}
			node["required"], node["additionalProperties"] = required, false
		}
	}
}

// conforms checks a body against one definition of the schema, or every member of a list against it.
func conforms(t *testing.T, definition string, body []byte) {
	t.Helper()
	compiler, err := platformSchema()
	if err != nil {
		t.Fatal(err)
	}
	schema, err := compiler.Compile("platform.json#/definitions/" + definition)
	if err != nil {
		t.Fatal(err)
	}
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(body))
	if err != nil {
		t.Fatalf("%v in %s", err, body)
	}
	members, ok := document.([]any)
	if !ok {
		members = []any{document}
	} else if len(members) == 0 {
		t.Errorf("an empty list proves nothing")
	}
	for _, member := range members {
		if err := schema.Validate(member); err != nil {
			t.Errorf("%v\n%s", err, body)
		}
	}
}

func TestAnswersConformToTheSchema(t *testing.T) {
	s := platform(t, simulator.Options{}, shop(simulator.Process{Quantity: 2}))
	tests := []struct{ method, path, body, definition string }{
		{"GET", "/account", "", "account"},
		{"GET", "/account/rate-limits", "", "rate-limit"},
		{"GET", "/dyno-sizes", "", "dyno-size"},
		{"GET", "/apps/shop", "", "app"},
		{"GET", "/apps/shop/formation", "", "formation"},
		{"GET", "/apps/shop/formation/worker", "", "formation"},
		{"PATCH", "/apps/shop/formation/worker", `{"quantity": 3}`, "formation"},
		{"PATCH", "/apps/shop/formation", `{"updates": [{"type": "worker", "quantity": "+1"}]}`, "formation"},
		{"GET", "/apps/shop/releases", "", "release"},
		{"GET", "/apps/shop/dynos", "", "dyno"},
		{"GET", "/apps/shop/dynos/worker.1", "", "dyno"},
		{"GET", "/apps/shop/config-vars", "", "config-var"},
		{"PATCH", "/apps/shop/config-vars", `{"A": "1", "REDIS_URL": null}`, "config-var"},
	}
	for _, test := range tests {
		t.Run(test.method+test.path, func(t *testing.T) {
			r := do(t, s, test.method, test.path, test.body, nil)
			if r.status != 200 {
				t.Fatalf("%d %s", r.status, r.body)
			}
			conforms(t, test.definition, r.body)
		})
	}
}

// The check itself must bite.
func TestTheSchemaIsStrict(t *testing.T) {
	compiler, err := platformSchema()
	if err != nil {
		t.Fatal(err)
	}
	schema, err := compiler.Compile("platform.json#/definitions/formation")
	if err != nil {
		t.Fatal(err)
	}
	if schema.Validate(map[string]any{}) == nil {
		t.Error("{} passes as a formation")
	}
}
