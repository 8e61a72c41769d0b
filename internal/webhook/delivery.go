package webhook

import (
	"encoding/json"
	"errors"
	"time"
)

// Kind is what an event is about.
type Kind string

// Kinds.
const (
	Formation Kind = "formation" // a process type was scaled, resized or removed
	Dyno      Kind = "dyno"      // a dyno was started; with the include dyno instead of api:dyno, its state changed
	Release   Kind = "release"   // the app was deployed or configured
)

// Event is a hint that something about an app has changed. See the package's comment for what it is
// not.
type Event struct {
	Kind        Kind
	Action      string // create, update or destroy
	AppID       string // a UUID, never empty
	AppName     string // as it was then
	ProcessType string // empty for a release
	Quantity    *int   // of a formation, nil if not told for sure; never to be taken for the quantity of now
	Size        string // of a formation or dyno
	// UpdatedAt is when the resource last changed, in whole seconds of Heroku's clock; zero if the
	// delivery does not say, as those about a dyno's state.
	UpdatedAt time.Time
}

// delivery is an event with what tells whether it is news.
type delivery struct {
	event    Event
	resource string // id of the formation, dyno or release
	id       string // the same in each attempt of a delivery; may be empty
}

// body is the part of a delivery that is read. Its form is documented, with examples, in
// https://devcenter.heroku.com/articles/webhook-events.
type body struct {
	Action   string `json:"action"`
	Resource Kind   `json:"resource"`
	Data     struct {
		ID  string `json:"id"`
		App struct {
			ID   string `json:"id"`
			Name string `json:"name"`
		} `json:"app"`
		Type      string          `json:"type"`
		Quantity  json.RawMessage `json:"quantity"`
		Size      string          `json:"size"`
		UpdatedAt string          `json:"updated_at"`
	} `json:"data"`
	Metadata struct {
		Delivery struct {
			ID string `json:"id"`
		} `json:"delivery"`
	} `json:"webhook_metadata"`
}

// maxID bounds the ids, in bytes, and with them the memory. Heroku's are UUIDs of 36.
const maxID = 64

// parse returns the delivery in a body, and false for one of another kind, or without the ids that
// make it of use. Single fields of an unexpected type or form count as missing.
func parse(raw []byte) (delivery, bool) {
	var b body
	var mistyped *json.UnmarshalTypeError // which leaves the other fields read
	if err := json.Unmarshal(raw, &b); err != nil && !errors.As(err, &mistyped) {
		return delivery{}, false
	}
	known := b.Resource == Formation || b.Resource == Dyno || b.Resource == Release
	if !known || !isID(b.Data.ID) || !isID(b.Data.App.ID) || len(b.Metadata.Delivery.ID) > maxID {
		return delivery{}, false
	}
	updated, _ := time.Parse(time.RFC3339, b.Data.UpdatedAt) // zero if it is missing
	return delivery{
		event: Event{
			Kind:        b.Resource,
			Action:      b.Action,
			AppID:       b.Data.App.ID,
			AppName:     b.Data.App.Name,
			ProcessType: b.Data.Type,
			Quantity:    number(b.Data.Quantity),
			Size:        b.Data.Size,
			UpdatedAt:   updated,
		},
		resource: b.Data.ID,
		id:       b.Metadata.Delivery.ID,
	}, true
}

// number returns the integer in raw, nil if it is anything else. A *int in body would be 0 then.
func number(raw json.RawMessage) *int {
	var n *int
	if err := json.Unmarshal(raw, &n); err != nil {
		return nil
	}
	return n
}

func isID(s string) bool { return s != "" && len(s) <= maxID }
