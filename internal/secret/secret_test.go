package secret_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/queuescaler/queuescaler/internal/secret"
)

func TestTextDoesNotPrint(t *testing.T) {
	const canary = "canary-0123"
	type holder struct {
		Text secret.Text
		More []secret.Text
	}
	h := holder{canary, []secret.Text{canary}}
	var printed strings.Builder
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		fmt.Fprintf(&printed, verb+" "+verb+"\n", h, h.Text)
	}
	fmt.Fprintln(&printed, h.Text, h)
	encoded, err := json.Marshal(map[string]any{"holder": h, "text": h.Text})
	if err != nil {
		t.Fatal(err)
	}
	printed.Write(encoded)
	for _, shown := range []string{canary, fmt.Sprintf("%x", canary)} {
		if strings.Contains(printed.String(), shown) {
			t.Errorf("the secret is shown as %s:\n%s", shown, &printed)
		}
	}
	if string(h.Text) != canary {
		t.Error("the conversion to a string does not give the secret")
	}
}
