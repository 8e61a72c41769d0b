package simulator_test

import (
	"net/http"
	"strings"
	"testing"

	heroku "github.com/heroku/heroku-go/v5"

	"github.com/queuescaler/queuescaler/internal/heroku/simulator"
)

const webhooksPath = "/apps/shop/webhooks"

// subscription is the body of a POST that includes some entities.
func subscription(level string, entities ...string) string {
	return `{"url": "https://hooks.example/x", "level": "` + level + `", "secret": "key", "authorization": "Bearer canary",
		"include": ["` + strings.Join(entities, `", "`) + `"]}`
}

// webhook is one as the API shows it.
type webhook struct {
	ID, Level, URL string
	Include        []string
}

func TestWebhooks(t *testing.T) {
	s := platform(t, simulator.Options{}, shop(simulator.Process{}))
	created := do(t, s, "POST", webhooksPath, `{"url": "https://hooks.example/x", "level": "sync", "include": ["api:formation", "dyno"]}`, nil)
	conforms(t, "app-webhook/definitions/app_webhook", created.body)
	if created.status != http.StatusCreated || len(created.header.Get("Heroku-Webhook-Secret")) != 60 {
		t.Fatalf("%d %v", created.status, created.header)
	}
	var w webhook
	created.decode(t, &w)
	path := webhooksPath + "/" + w.ID

	expect := func(method, path, body string, status int, want webhook) {
		t.Helper()
		r := do(t, s, method, path, body, nil)
		if r.status != status || r.header.Get("Heroku-Webhook-Secret") != "" {
			t.Fatalf("%s %s: %d %s", method, path, r.status, r.body)
		}
		if strings.Contains(string(r.body), "canary") {
			t.Errorf("a secret in %s", r.body)
		}
		if status >= 400 {
			return
		}
		var got webhook
		r.decode(t, &got)
		if got.ID != want.ID || got.Level != want.Level || got.URL != want.URL || strings.Join(got.Include, " ") != strings.Join(want.Include, " ") {
			t.Errorf("%s %s: %+v, want %+v", method, path, got, want)
		}
	}
	expect("GET", path, "", 200, w)
	expect("PATCH", path, `{"include": ["api:release", "nothing"]}`, 422, w)
	expect("GET", path, "", 200, w)
	w.Level = "notify"
	expect("PATCH", path, `{"level": "notify", "secret": "canary", "authorization": "canary", "url": null}`, 200, w)
	w.Include = []string{"api:release"}
	expect("PATCH", path, `{"include": ["api:release"]}`, 200, w)
	var list []webhook
	get(t, s, webhooksPath).decode(t, &list)
	if len(list) != 1 || list[0].ID != w.ID {
		t.Errorf("%+v", list)
	}
	expect("DELETE", path, "", 200, w)
	for _, method := range []string{"GET", "PATCH", "DELETE"} {
		expect(method, path, "{}", 404, w)
	}
}

func TestInvalidWebhooks(t *testing.T) {
	s := platform(t, simulator.Options{}, shop(simulator.Process{}))
	for body, status := range map[string]int{
		`{"url": "https://x.example", "level": "notify", "secret": "mine", "include": ["dyno"]}`: 201,
		`{"level": "notify", "include": ["dyno"]}`:                                               422,
		`{"url": "x.example/hook", "level": "notify", "include": ["dyno"]}`:                      422,
		`{"url": "ftp://x.example", "level": "notify", "include": ["dyno"]}`:                     422,
		`{"url": "https://x.example", "include": ["dyno"]}`:                                      422,
		`{"url": "https://x.example", "level": "maybe", "include": ["dyno"]}`:                    422,
		`{"url": "https://x.example", "level": "notify"}`:                                        422,
		`{"url": "https://x.example", "level": "notify", "include": []}`:                         422,
		`{"url": "https://x.example", "level": "notify", "include": ["api:formations"]}`:         422,
		`url=https://x.example`: 400,
	} {
		r := do(t, s, "POST", webhooksPath, body, nil)
		if r.status != status || r.header.Get("Heroku-Webhook-Secret") != "" {
			t.Errorf("%s: %d %s", body, r.status, r.body)
		}
	}
}

func TestHerokuGoAndWebhooks(t *testing.T) {
	s := platform(t, simulator.Options{}, shop(simulator.Process{}))
	h, ctx := service(s, secret), t.Context()
	w, err := h.AppWebhookCreate(ctx, "shop", heroku.AppWebhookCreateOpts{
		URL: "https://hooks.example/", Level: "notify", Include: []string{"dyno"}, Secret: heroku.String("key"),
	})
	if err != nil {
		t.Fatal(err)
	}
	updated, err := h.AppWebhookUpdate(ctx, "shop", w.ID, heroku.AppWebhookUpdateOpts{Level: heroku.String("sync")})
	if err != nil || updated.Level != "sync" || updated.URL != w.URL {
		t.Errorf("%+v, %v", updated, err)
	}
	list, err := h.AppWebhookList(ctx, "shop", nil)
	if err != nil || len(list) != 1 || list[0].ID != w.ID || list[0].App.Name != "shop" {
		t.Errorf("%+v, %v", list, err)
	}
	if _, err := h.AppWebhookDelete(ctx, "shop", w.ID); err != nil {
		t.Error(err)
	}
}
