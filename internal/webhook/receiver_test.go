package webhook

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"
)

func TestEvents(t *testing.T) {
	quantity := 3
	formation := Event{
		Kind: Formation, Action: "update", AppID: appID, AppName: "shop", ProcessType: "worker",
		Quantity: &quantity, Size: "Standard-1X", UpdatedAt: noon,
	}
	tests := map[string]struct {
		delivery object
		want     Event
	}{
		"formation": {scaled(3, noon, "d1"), formation},
		"dyno, as it is seen in the wild without a time": {
			object{"action": "destroy", "resource": "dyno", "data": object{
				"id": "d0eb9c96-0529-4f9d-bb4c-cc3382a55180", "app": object{"id": appID, "name": "shop"},
				"size": "Standard-1X", "type": "worker", "name": "worker.1", "state": "crashed", "exit_status": 137,
			}},
			Event{Kind: Dyno, Action: "destroy", AppID: appID, AppName: "shop", ProcessType: "worker", Size: "Standard-1X"},
		},
		"release": {
			object{"action": "create", "resource": "release", "data": object{
				"id": "5f1463a4-0210-43ba-b906-52599e246482", "app": object{"id": appID, "name": "shop"},
				"version": 3, "user": object{"email": "somebody@example.com"}, "updated_at": "2026-11-01T12:00:00Z",
			}},
			Event{Kind: Release, Action: "create", AppID: appID, AppName: "shop", UpdatedAt: noon},
		},
		"fields of other types count as missing": {
			object{"action": 7, "resource": "formation", "sequence": "x", "data": object{
				"id": worker, "app": object{"id": appID, "name": nil}, "type": "worker",
				"quantity": "3", "size": object{"name": "standard-1X"}, "updated_at": "yesterday",
			}},
			Event{Kind: Formation, AppID: appID, ProcessType: "worker"},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r, told := record(Options{})
				deliver(t, r, test.delivery)
				settle()
				if len(*told) != 1 || describe((*told)[0]) != describe(test.want) {
					t.Errorf("told %v, want %s", *told, describe(test.want))
				}
			})
		})
	}
}

// describe shows what an event points to, too.
func describe(e Event) string {
	text := fmt.Sprintf("%+v", e)
	if e.Quantity != nil {
		quantity := *e.Quantity
		e.Quantity = nil
		text = fmt.Sprintf("%+v with quantity %d", e, quantity)
	}
	return text
}

func TestRequests(t *testing.T) {
	known := encode(scaled(2, noon, "d1"))
	longest := `{"filler":"` + strings.Repeat("x", 1<<20-13) + `"}`
	long := longest + " "
	tests := map[string]struct {
		secrets         []string
		body, signature string
		status          int
		outcome         Outcome
	}{
		"signed":                         {body: known, signature: signature(known, key), status: 204, outcome: Told},
		"signed with the older secret":   {secrets: []string{"new", key}, body: known, signature: signature(known, key), status: 204, outcome: Told},
		"signed with the newer secret":   {secrets: []string{"new", key}, body: known, signature: signature(known, "new"), status: 204, outcome: Told},
		"unsigned":                       {body: known, status: 401, outcome: Refused},
		"signed with another secret":     {body: known, signature: signature(known, "other"), status: 401, outcome: Refused},
		"another body's signature":       {body: known, signature: signature(known+" ", key), status: 401, outcome: Refused},
		"the signature in hexadecimal":   {body: known, signature: fmt.Sprintf("%x", signature(known, key)), status: 401, outcome: Refused},
		"nearly the signature":           {body: known, signature: "A" + signature(known, key)[1:], status: 401, outcome: Refused},
		"the beginning of the signature": {body: known, signature: signature(known, key)[:43], status: 401, outcome: Refused},
		"no secret at all":               {secrets: []string{}, body: known, signature: signature(known, ""), status: 401, outcome: Refused},
		"an empty secret":                {secrets: []string{""}, body: known, signature: signature(known, ""), status: 401, outcome: Refused},
		"an empty secret beside one":     {secrets: []string{"", key}, body: known, signature: signature(known, ""), status: 401, outcome: Refused},
		"too long":                       {body: long, signature: signature(long, key), status: 413, outcome: Refused},
		"just not too long":              {body: longest, signature: signature(longest, key), status: 204, outcome: Ignored},
		"too long and unsigned":          {body: long, status: 401, outcome: Refused},
		"another kind":                   {body: `{"resource":"app","data":{}}`, status: 204, outcome: Ignored},
		"no JSON":                        {body: `<html>`, status: 204, outcome: Ignored},
		"cut off":                        {body: known[:len(known)-1], status: 204, outcome: Ignored},
		"empty":                          {body: ``, status: 204, outcome: Ignored},
		"null":                           {body: `null`, status: 204, outcome: Ignored},
		"a list":                         {body: `[1]`, status: 204, outcome: Ignored},
		"without the app's id":           {body: `{"resource":"formation","data":{"id":"1"}}`, status: 204, outcome: Ignored},
		"without an id":                  {body: `{"resource":"formation","data":{"app":{"id":"1"}}}`, status: 204, outcome: Ignored},
		"an id that fills the memory":    {body: encode(scaled(2, noon, strings.Repeat("x", 65))), status: 204, outcome: Ignored},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var outcomes []Outcome
				r, told := record(Options{Secrets: test.secrets, Observe: func(o Outcome) { outcomes = append(outcomes, o) }})
				if test.status == http.StatusNoContent && test.signature == "" {
					test.signature = signature(test.body, key)
				}
				answer := post(r, test.body, test.signature)
				if answer.StatusCode != test.status {
					t.Errorf("status %d, want %d", answer.StatusCode, test.status)
				}
				if body, _ := io.ReadAll(answer.Body); len(body) > 0 {
					t.Errorf("answered with a body: %s", body)
				}
				if want := []Outcome{test.outcome}; !slices.Equal(outcomes, want) {
					t.Errorf("outcomes %v, want %v", outcomes, want)
				}
				settle()
				if (len(*told) > 0) != (test.outcome == Told) {
					t.Errorf("told %v although the outcome is %s", *told, test.outcome)
				}
			})
		})
	}
}

func TestOnlyPost(t *testing.T) {
	r, _ := record(Options{})
	for _, method := range []string{"GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS"} {
		answer := httptest.NewRecorder()
		r.ServeHTTP(answer, httptest.NewRequest(method, "/", strings.NewReader("{}")))
		if answer.Code != 405 || answer.Header().Get("Allow") != "POST" || answer.Body.Len() > 0 {
			t.Errorf("%s: %d, Allow %q, body %q", method, answer.Code, answer.Header().Get("Allow"), answer.Body)
		}
	}
}

func TestBodyThatBreaksOff(t *testing.T) {
	r, _ := record(Options{})
	request := httptest.NewRequest(http.MethodPost, "/", iotest.ErrReader(errors.New("gone")))
	request.Header.Set("Heroku-Webhook-Hmac-SHA256", signature("", key))
	answer := httptest.NewRecorder()
	if r.ServeHTTP(answer, request); answer.Code != 400 {
		t.Errorf("status %d, want 400", answer.Code)
	}
}

func TestSecretsDoNotPrint(t *testing.T) {
	r, _ := record(Options{})
	for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
		if text := fmt.Sprintf(verb, r); strings.Contains(text, key) || strings.Contains(text, fmt.Sprintf("%d", []byte(key))) {
			t.Errorf("%s shows the secret: %s", verb, text)
		}
	}
}
