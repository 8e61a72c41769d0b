package simulator

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/google/uuid"
)

// Levels of a webhook.
const (
	levelNotify = "notify" // one attempt
	levelSync   = "sync"   // attempts until one succeeds
)

// entities are what webhooks can include (devcenter.heroku.com/articles/app-webhooks). The simulator
// tells of api:dyno, api:formation, api:release and dyno.
var entities = []string{
	"api:addon", "api:addon-attachment", "api:app", "api:build", "api:collaborator", "api:domain", "api:dyno",
	"api:formation", "api:release", "api:sni-endpoint", "dyno",
}

// webhook is an app's subscription to notifications.
type webhook struct {
	subscription
	app     *app
	id      string
	created time.Time
	updated time.Time

	queue     []*delivery   // what is to be delivered, in this order
	attending bool          // a goroutine sees to the queue
	removed   chan struct{} // closed when the webhook is gone
}

// subscription is what a client says of a webhook (devcenter.heroku.com/articles/app-webhooks-schema).
type subscription struct {
	URL           string   `json:"url"`
	Include       []string `json:"include"`
	Level         string   `json:"level"`
	Authorization string   `json:"authorization"`
	Secret        string   `json:"secret"`
}

func (s subscription) validate() error {
	target, err := url.Parse(s.URL)
	if err != nil || target.Host == "" || (target.Scheme != "https" && target.Scheme != "http") {
		return invalidParams("Invalid url.")
	}
	if s.Level != levelNotify && s.Level != levelSync {
		return invalidParams("Invalid level %q.", s.Level)
	}
	if len(s.Include) == 0 {
		return invalidParams("Invalid include.")
	}
	for _, entity := range s.Include {
		if !slices.Contains(entities, entity) {
			return invalidParams("Invalid include %q.", entity)
		}
	}
	return nil
}

// change takes a client's wishes. What it does not name, or names as null, stays.
func (w *webhook) change(r *http.Request) error {
	next := w.subscription
	next.Include = slices.Clone(next.Include)
	if err := json.NewDecoder(r.Body).Decode(&next); err != nil {
		return badRequest()
	}
	if err := next.validate(); err != nil {
		return err
	}
	w.subscription, w.updated = next, time.Now()
	return nil
}

// resource never holds the secret nor the authorization.
func (w *webhook) resource() webhookResource {
	return webhookResource{
		App: w.app.reference(), ID: w.id, Include: w.Include, Level: w.Level, URL: w.URL,
		CreatedAt: timestamp(w.created), UpdatedAt: timestamp(w.updated),
	}
}

// remove drops what has not been delivered.
func (w *webhook) remove() { close(w.removed) }

func (w *webhook) gone() bool {
	select {
	case <-w.removed:
		return true
	default:
		return false
	}
}

func listWebhooks(c *call) (any, error) {
	var items collection
	for _, w := range c.app.webhooks {
		items = append(items, item{keys: map[string]string{"id": w.id}, resource: w.resource()})
	}
	return items, nil
}

// createWebhook makes a secret where the client gave none, and tells it this once.
func createWebhook(c *call) (any, error) {
	w := &webhook{app: c.app, id: uuid.NewString(), created: time.Now(), removed: make(chan struct{})}
	if err := w.change(c.request); err != nil {
		return nil, err
	}
	if w.Secret == "" {
		w.Secret = newSecret()
		c.header.Set("Heroku-Webhook-Secret", w.Secret)
	}
	c.app.webhooks = append(c.app.webhooks, w)
	c.updated, c.status = w.updated, http.StatusCreated
	return w.resource(), nil
}

// newSecret has the length of those in Heroku's examples.
func newSecret() string {
	secret := make([]byte, 30)
	_, _ = rand.Read(secret) // never fails
	return hex.EncodeToString(secret)
}

func (c *call) webhook() (*webhook, error) {
	id := c.request.PathValue("webhook")
	for _, w := range c.app.webhooks {
		if w.id == id {
			return w, nil
		}
	}
	return nil, notFound("Couldn't find that webhook.")
}

func getWebhook(c *call) (any, error) {
	w, err := c.webhook()
	if err != nil {
		return nil, err
	}
	c.updated = w.updated
	return w.resource(), nil
}

func updateWebhook(c *call) (any, error) {
	w, err := c.webhook()
	if err != nil {
		return nil, err
	}
	if err := w.change(c.request); err != nil {
		return nil, err
	}
	c.updated = w.updated
	return w.resource(), nil
}

func deleteWebhook(c *call) (any, error) {
	w, err := c.webhook()
	if err != nil {
		return nil, err
	}
	w.remove()
	c.app.webhooks = slices.DeleteFunc(c.app.webhooks, func(other *webhook) bool { return other == w })
	return w.resource(), nil
}
