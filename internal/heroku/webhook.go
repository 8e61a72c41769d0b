package heroku

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	api "github.com/heroku/heroku-go/v5"

	"github.com/queuescaler/queuescaler/internal/secret"
)

// Webhook is an app's subscription to events, which Heroku posts to a URL. See
// https://devcenter.heroku.com/articles/app-webhooks-schema.
//
// Heroku does not say which scopes a token needs to manage them. As with other
// writes to an app, write should do, and read to list them; an Error of kind
// Forbidden names the scopes if not.
type Webhook struct {
	ID  string // a UUID that Heroku chooses
	URL string // where to post; what tells an app's webhooks apart
	// Include are the kinds of events, in any order: api:formation, api:dyno and
	// api:release by default.
	Include []string
	// Level is notify for one attempt per event, or sync, the default, for
	// attempts up to 72 hours.
	Level string
	// Secret signs the deliveries. Heroku takes it and never tells it.
	Secret secret.Text
}

// Change is what [Client.EnsureWebhook] did.
type Change string

// Changes.
const (
	Created   Change = "created"
	Updated   Change = "updated"
	Unchanged Change = "unchanged"
)

func webhooksPath(app string) string { return "/apps/" + app + "/webhooks" }

// Webhooks returns the webhooks of app, which is a name or a UUID. Their
// secrets are empty.
func (c *Client) Webhooks(ctx context.Context, app string) ([]Webhook, error) {
	if err := validateApp(app); err != nil {
		return nil, err
	}
	ctx, cancel := withDeadline(ctx)
	defer cancel()
	all, a, err := list[api.AppWebhookInfoResult](ctx, c, Rest, webhooksPath(app))
	if err != nil {
		return nil, err
	}
	webhooks := []Webhook{}
	for _, w := range all {
		if !uuid.MatchString(w.ID) || w.URL == "" {
			return nil, nonsense(a, "the list has a webhook without an id or a URL")
		}
		webhooks = append(webhooks, Webhook{ID: w.ID, URL: w.URL, Include: w.Include, Level: w.Level})
	}
	return webhooks, nil
}

// EnsureWebhook makes app have the webhook want, which its URL identifies; its
// ID is not looked at. Called again, after an error too, it changes nothing
// more.
//
// Nobody can see whether a webhook has the right secret. So one that is there
// already is sent want.Secret in any case, and counts as Updated; with an empty
// Secret it keeps the one it has, which makes Unchanged possible. A webhook
// cannot be created without a secret.
func (c *Client) EnsureWebhook(ctx context.Context, app string, want Webhook) (Change, error) {
	want = want.withDefaults()
	if err := want.validate(); err != nil {
		return "", err
	}
	ctx, cancel := withDeadline(ctx)
	defer cancel()
	present, err := c.Webhooks(ctx, app)
	if err != nil {
		return "", err
	}
	i := slices.IndexFunc(present, func(w Webhook) bool { return w.URL == want.URL })
	switch {
	case i < 0 && want.Secret == "":
		return "", invalid("a webhook is created with a secret only, else nobody can tell its deliveries from others")
	case i < 0:
		return Created, c.createWebhook(ctx, app, want)
	case want.Secret == "" && present[i].delivers(want):
		return Unchanged, nil
	}
	want.ID = present[i].ID
	return Updated, c.updateWebhook(ctx, app, want)
}

// DeleteWebhook removes app's webhooks with that URL and returns how many there
// were.
func (c *Client) DeleteWebhook(ctx context.Context, app, url string) (int, error) {
	ctx, cancel := withDeadline(ctx)
	defer cancel()
	present, err := c.Webhooks(ctx, app)
	if err != nil {
		return 0, err
	}
	deleted := 0
	for _, w := range present {
		if w.URL != url {
			continue
		}
		if err := c.deleteWebhook(ctx, app, w.ID); err != nil {
			return deleted, err
		}
		deleted++
	}
	return deleted, nil
}

func (c *Client) deleteWebhook(ctx context.Context, app, id string) error {
	_, err := c.call(ctx, func(ctx context.Context) error {
		return c.service.Delete(ctx, io.Discard, webhooksPath(app)+"/"+id)
	})
	var e *Error
	if errors.As(err, &e) && e.Status == http.StatusNotFound {
		return nil // gone meanwhile: the app is there, for it had a list of webhooks
	}
	return err
}

func (c *Client) createWebhook(ctx context.Context, app string, want Webhook) error {
	return c.sendWebhook(ctx, want, func(ctx context.Context, got *api.AppWebhookInfoResult) error {
		return c.service.Post(ctx, got, webhooksPath(app), api.AppWebhookCreateOpts{
			Include: want.Include,
			Level:   want.Level,
			Secret:  new(string(want.Secret)),
			URL:     want.URL,
		})
	})
}

func (c *Client) updateWebhook(ctx context.Context, app string, want Webhook) error {
	opts := api.AppWebhookUpdateOpts{Level: &want.Level}
	for _, kind := range want.Include {
		opts.Include = append(opts.Include, &kind)
	}
	if want.Secret != "" {
		opts.Secret = new(string(want.Secret))
	}
	return c.sendWebhook(ctx, want, func(ctx context.Context, got *api.AppWebhookInfoResult) error {
		return c.service.Patch(ctx, got, webhooksPath(app)+"/"+want.ID, opts)
	})
}

// sendWebhook makes a request that Heroku answers with the webhook as it is now.
func (c *Client) sendWebhook(ctx context.Context, want Webhook, send func(context.Context, *api.AppWebhookInfoResult) error) error {
	var got api.AppWebhookInfoResult
	a, err := c.call(ctx, func(ctx context.Context) error { return send(ctx, &got) })
	if err != nil {
		return hide(err, want.Secret)
	}
	if now := (Webhook{URL: got.URL, Include: got.Include, Level: got.Level}); now.URL != want.URL || !now.delivers(want) {
		return nonsense(a, "the answer is not the webhook that was asked for")
	}
	return nil
}

// hide takes a secret out of an answer that may repeat the request.
func hide(err error, s secret.Text) error {
	if e := (*Error)(nil); s != "" && errors.As(err, &e) {
		e.Message = strings.ReplaceAll(e.Message, string(s), s.String())
	}
	return err
}

func (w Webhook) withDefaults() Webhook {
	w.Level = cmp.Or(w.Level, "sync")
	if len(w.Include) == 0 {
		w.Include = []string{"api:formation", "api:dyno", "api:release"}
	}
	return w
}

func (w Webhook) validate() error {
	target, err := url.Parse(w.URL)
	if err != nil || target.Host == "" || target.Scheme != "https" && target.Scheme != "http" {
		return invalid("the URL of a webhook must begin with https:// or http://, and name a host")
	}
	if w.Level != "sync" && w.Level != "notify" {
		return invalid(fmt.Sprintf("the level of a webhook is sync or notify, not %q", w.Level))
	}
	return nil
}

// delivers reports whether w delivers the same events in the same way as other.
func (w Webhook) delivers(other Webhook) bool {
	return w.Level == other.Level && maps.Equal(set(w.Include), set(other.Include))
}

func set(items []string) map[string]bool {
	s := map[string]bool{}
	for _, item := range items {
		s[item] = true
	}
	return s
}
