package webhook

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

const (
	key    = "canary-of-the-secret"
	appID  = "b225a8d2-1602-42c3-a1a2-98c3c266cc0d"
	worker = "13f27e47-df06-48a1-92be-f521babd9060"
)

var noon = time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)

// object is a JSON object.
type object = map[string]any

// scaled is a delivery as Heroku documents it: worker of shop now has that quantity.
func scaled(quantity int, updated time.Time, deliveryID string) object {
	return object{
		"action":     "update",
		"actor":      object{"email": "somebody@example.com", "id": "2530e242-a531-4d37-99ab-d8997e2335d0"},
		"created_at": updated.Format(time.RFC3339),
		"id":         "89d9e649-1ecf-464e-a15d-86c15365fc40",
		"data": object{
			"app":        object{"id": appID, "name": "shop"},
			"command":    "bundle exec sidekiq",
			"created_at": "2026-10-26T22:49:29Z",
			"id":         worker,
			"type":       "worker",
			"quantity":   quantity,
			"size":       "Standard-1X",
			"updated_at": updated.Format(time.RFC3339),
		},
		"previous_data": object{"quantity": 1},
		"published_at":  nil,
		"resource":      "formation",
		"sequence":      nil,
		"updated_at":    updated.Format(time.RFC3339),
		"version":       "application/vnd.heroku+json; version=3",
		"webhook_metadata": object{
			"attempt":  object{"id": "8a44f820-2354-489d-9a11-a793cbf49979"},
			"delivery": object{"id": deliveryID},
			"event":    object{"id": "89d9e649-1ecf-464e-a15d-86c15365fc40", "include": "api:formation"},
			"webhook":  object{"id": "01234567-89ab-cdef-0123-456789abcdef"},
		},
	}
}

// of puts a delivery's data on another resource.
func of(d object, resource, id, processType string) object {
	d["resource"] = resource
	data := d["data"].(object)
	data["id"], data["type"] = id, processType
	return d
}

func encode(d object) string {
	text, err := json.Marshal(d)
	if err != nil {
		panic(err)
	}
	return string(text)
}

// signature is computed by other means than the code's.
func signature(body, key string) string {
	mac := hmac.New(sha256.New, []byte(key))
	mac.Write([]byte(body))
	return base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

// post gives a body to a receiver and returns the answer.
func post(r *Receiver, body, signature string) *http.Response {
	request := httptest.NewRequest(http.MethodPost, "/any/path", strings.NewReader(body))
	if signature != "" {
		request.Header.Set("Heroku-Webhook-Hmac-SHA256", signature)
	}
	answer := httptest.NewRecorder()
	r.ServeHTTP(answer, request)
	return answer.Result()
}

// deliver posts a signed delivery.
func deliver(t *testing.T, r *Receiver, d object) {
	t.Helper()
	body := encode(d)
	if status := post(r, body, signature(body, key)).StatusCode; status != http.StatusNoContent {
		t.Errorf("status %d of a signed delivery, want 204", status)
	}
}

// record returns a receiver and what it has told so far.
func record(o Options) (*Receiver, *[]Event) {
	var told []Event
	o.Tell = func(e Event) { told = append(told, e) }
	if o.Secrets == nil {
		o.Secrets = []string{key}
	}
	return New(o), &told
}

// settle waits in a bubble of synctest until all is told.
func settle() {
	time.Sleep(window)
	synctest.Wait()
}

// quantities are those of events, -1 for none.
func quantities(told []Event) []int {
	all := []int{}
	for _, e := range told {
		quantity := -1
		if e.Quantity != nil {
			quantity = *e.Quantity
		}
		all = append(all, quantity)
	}
	return all
}
