package simulator

import (
	"slices"
	"time"

	"github.com/google/uuid"
)

// platformActor is who Heroku names for what dynos do by themselves.
const platformActor = "noreply+webhooks@heroku.com"

// notification is the body of a delivery, the same in every attempt but for the attempt's id
// (devcenter.heroku.com/articles/webhook-events and webhook-dyno-events).
type notification struct {
	Action       string          `json:"action"` // create, update or destroy
	Actor        ownerResource   `json:"actor"`
	CreatedAt    microTimestamp  `json:"created_at"`
	Data         any             `json:"data"` // the resource after the change
	ID           string          `json:"id"`   // of the event
	Metadata     webhookMetadata `json:"webhook_metadata"`
	PreviousData map[string]any  `json:"previous_data"` // what an update changed
	PublishedAt  *timestamp      `json:"published_at"`  // null in Heroku's examples, a time in some recorded bodies
	Resource     string          `json:"resource"`      // formation, dyno or release
	Sequence     *int            `json:"sequence"`
	UpdatedAt    microTimestamp  `json:"updated_at"`
	Version      string          `json:"version"`
}

type webhookMetadata struct {
	Attempt  idReference    `json:"attempt"`
	Delivery idReference    `json:"delivery"`
	Event    eventReference `json:"event"`
	Webhook  idReference    `json:"webhook"`
}

type idReference struct {
	ID string `json:"id"`
}

type eventReference struct {
	ID      string `json:"id"`
	Include string `json:"include"`
}

// notify queues a notification for every webhook that includes an entity. Server.mu is held.
func (a *app) notify(entity string, n notification) {
	if a.server.closed {
		return
	}
	now := time.Now()
	n.ID, n.CreatedAt, n.UpdatedAt = uuid.NewString(), microTimestamp(now), microTimestamp(now)
	n.Version = "application/vnd.heroku+json; version=3"
	n.Metadata.Event = eventReference{ID: n.ID, Include: entity}
	if n.PreviousData == nil {
		n.PreviousData = map[string]any{}
	}
	for _, w := range a.webhooks {
		if slices.Contains(w.Include, entity) {
			w.enqueue(newDelivery(w, n, now))
		}
	}
}

func (f *formation) notifyUpdated(by string, before change) {
	previous := map[string]any{}
	if before.quantity != f.Quantity {
		previous["quantity"] = before.quantity
	}
	if before.size != f.size {
		previous["size"] = before.size.name
	}
	f.app.notify("api:formation", notification{
		Action: "update", Actor: person(by), Resource: "formation", Data: f.resource(), PreviousData: previous,
	})
}

func (f *formation) notifyDestroyed(by string) {
	f.app.notify("api:formation", notification{
		Action: "destroy", Actor: person(by), Resource: "formation", Data: f.resource(),
	})
}

// notifyRelease tells of the current release.
func (a *app) notifyRelease(action string) {
	r := a.current()
	a.notify("api:release", notification{
		Action: action, Actor: person(r.user), Resource: "release", Data: a.releaseResource(r),
	})
}

// notifyCreated is all that api:dyno tells. What becomes of a dyno, dyno tells.
func (d *dyno) notifyCreated(by string) {
	d.formation.app.notify("api:dyno", notification{
		Action: "create", Actor: person(by), Resource: "dyno", Data: d.resource(),
	})
}

// notifyState tells what becomes of a dyno: starting, up or stopping with the action update, crashed or
// down with destroy.
func (d *dyno) notifyState(action, state string) {
	data := dynoStateResource{
		App: d.formation.app.reference(), Command: d.formation.command(), ID: d.id, Name: d.name,
		Release: d.releaseReference(), Size: d.size.name, State: state, Type: d.formation.Type,
	}
	if action == "destroy" {
		status := d.exitStatus
		data.ExitStatus = &status
	}
	d.formation.app.notify("dyno", notification{Action: action, Actor: person(platformActor), Resource: "dyno", Data: data})
}

func actionOf(state string) string {
	if state == StateCrashed {
		return "destroy"
	}
	return "update"
}
