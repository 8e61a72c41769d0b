package simulator_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/queuescaler/queuescaler/internal/heroku/simulator"
)

// told says what was delivered as "api:formation update by owner@example.com".
func told(t *testing.T, r *receiver) (all []string) {
	t.Helper()
	for _, b := range r.bodies(t) {
		text := fmt.Sprintf("%s %s", b.Metadata.Event.Include, b.Action)
		switch b.Resource {
		case "dyno":
			text += fmt.Sprintf(" %s %s", b.field(t, "name"), b.field(t, "state"))
			if status := b.field(t, "exit_status"); status != nil {
				text += fmt.Sprintf(" %v", status)
			}
		case "formation":
			text += fmt.Sprintf(" %v from %v", b.field(t, "quantity"), b.PreviousData)
		case "release":
			text += fmt.Sprintf(" v%v %s", b.field(t, "version"), b.field(t, "description"))
		}
		if b.Metadata.Event.Include != "dyno" {
			text += " by " + b.Actor.Email
		}
		all = append(all, text)
	}
	return all
}

func TestNotifications(t *testing.T) {
	patch := func(body string) func(t *testing.T, s *simulator.Server) {
		return func(t *testing.T, s *simulator.Server) {
			direct(t, s, "PATCH", "/apps/shop/formation/worker", body, http.StatusOK)
		}
	}
	tests := []struct {
		name, entity string
		change       func(t *testing.T, s *simulator.Server)
		want         []string
	}{
		{"quantity", "api:formation", patch(`{"quantity": 3}`), []string{
			"api:formation update 3 from map[quantity:1] by owner@example.com",
		}},
		{"quantity and size", "api:formation", patch(`{"quantity": 2, "dyno_size": "standard-2x"}`), []string{
			"api:formation update 2 from map[quantity:1 size:Standard-1X] by owner@example.com",
		}},
		{"nothing new", "api:formation", patch(`{"quantity": 1}`), nil},
		{"process type", "api:formation", func(t *testing.T, s *simulator.Server) {
			if err := s.RemoveProcess("shop", "worker"); err != nil {
				t.Error(err)
			}
		}, []string{
			"api:formation destroy 0 from map[] by owner@example.com",
		}},
		{"deploy", "api:release", func(t *testing.T, s *simulator.Server) {
			if err := s.RemoveProcess("shop", "worker"); err != nil {
				t.Error(err)
			}
		}, []string{
			"api:release create v2 Deploy 0123abcd by owner@example.com",
			"api:release update v2 Deploy 0123abcd by owner@example.com",
		}},
		{"rotation", "api:release", func(t *testing.T, s *simulator.Server) {
			if err := s.RotateConfigVar("shop", "REDIS_URL", "redis://new"); err != nil {
				t.Error(err)
			}
		}, []string{
			"api:release create v2 Update REDIS by heroku-redis by heroku-redis@addons.heroku.com",
			"api:release update v2 Update REDIS by heroku-redis by heroku-redis@addons.heroku.com",
		}},
		{"rotation", "api:dyno", func(t *testing.T, s *simulator.Server) {
			if err := s.RotateConfigVar("shop", "REDIS_URL", "redis://new"); err != nil {
				t.Error(err)
			}
		}, []string{
			"api:dyno create worker.1 starting by heroku-redis@addons.heroku.com",
		}},
		{"more dynos", "api:dyno", patch(`{"quantity": 3}`), []string{
			"api:dyno create worker.2 starting by owner@example.com",
			"api:dyno create worker.3 starting by owner@example.com",
		}},
		{"a dyno more", "dyno", patch(`{"quantity": 2}`), []string{
			"dyno update worker.2 starting", "dyno update worker.2 up",
		}},
		{"no dynos", "dyno", patch(`{"quantity": 0}`), []string{
			"dyno update worker.1 stopping", "dyno destroy worker.1 down 0",
		}},
		{"crash", "dyno", func(t *testing.T, s *simulator.Server) {
			if err := s.Kill("shop", "worker.1"); err != nil {
				t.Error(err)
			}
		}, []string{
			"dyno destroy worker.1 crashed 137", "dyno update worker.1 starting", "dyno update worker.1 up",
		}},
	}
	for _, test := range tests {
		t.Run(test.name+" as "+test.entity, func(t *testing.T) {
			r := &receiver{}
			quiet(t, simulator.Options{DeliveryTransport: r}, func(t *testing.T, s *simulator.Server) {
				add(t, s, worker(1))
				time.Sleep(time.Minute)
				direct(t, s, "POST", webhooksPath, subscription("sync", test.entity), http.StatusCreated)
				synctest.Wait()
				test.change(t, s)
				time.Sleep(time.Minute)
				if got := told(t, r); !slices.Equal(got, test.want) {
					t.Errorf("\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(test.want, "\n"))
				}
			})
		})
	}
}

// Over a network: what comes is signed, and has the shape of Heroku's examples.
func TestTheBodyOfANotification(t *testing.T) {
	type arrival struct {
		header http.Header
		body   []byte
	}
	arrivals := make(chan arrival, 100)
	hooks := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		arrivals <- arrival{r.Header, body}
		w.WriteHeader(http.StatusNoContent)
	}))
	defer hooks.Close()
	s := platform(t, simulator.Options{}, shop(simulator.Process{}))
	created := do(t, s, "POST", webhooksPath, `{"url": "`+hooks.URL+`/x", "level": "notify", "authorization": "Bearer me",
		"include": ["api:formation", "api:dyno", "api:release"]}`, nil)
	if err := s.Scale("shop", "worker", 1); err != nil {
		t.Fatal(err)
	}
	do(t, s, "PATCH", "/apps/shop/config-vars", `{"A": "1"}`, nil)

	seen := map[string]bool{}
	for len(seen) < 3 {
		a := <-arrivals
		mac := hmac.New(sha256.New, []byte(created.header.Get("Heroku-Webhook-Secret")))
		mac.Write(a.body)
		if want := base64.StdEncoding.EncodeToString(mac.Sum(nil)); a.header.Get("Heroku-Webhook-Hmac-SHA256") != want {
			t.Errorf("signature %q, want %q", a.header.Get("Heroku-Webhook-Hmac-SHA256"), want)
		}
		if a.header.Get("Authorization") != "Bearer me" || a.header.Get("Content-Type") != "application/json" {
			t.Errorf("%v", a.header)
		}
		var fields map[string]json.RawMessage
		if err := json.Unmarshal(a.body, &fields); err != nil {
			t.Fatal(err)
		}
		names := strings.Join(slices.Sorted(maps.Keys(fields)), " ")
		if names != "action actor created_at data id previous_data published_at resource sequence updated_at version webhook_metadata" {
			t.Errorf("%s in %s", names, a.body)
		}
		if string(fields["published_at"]) != "null" || string(fields["sequence"]) != "null" ||
			string(fields["version"]) != `"application/vnd.heroku+json; version=3"` {
			t.Errorf("%s", a.body)
		}
		resource := strings.Trim(string(fields["resource"]), `"`)
		conforms(t, resource, fields["data"])
		seen[resource] = true
	}
}
