package herokuclients

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/queuescaler/queuescaler/internal/heroku/simulator"
)

// outcome is what heroku-client makes of an answer.
type outcome struct {
	Status int // 0 for a success
	Body   json.RawMessage
}

func (n tenant) request(t *testing.T, method, path, options string) (o outcome) {
	t.Helper()
	r := n.node(t, "request.js", method, strings.ReplaceAll(path, "APP", n.app), options)
	if err := json.Unmarshal([]byte(r.stdout), &o); err != nil || r.exit != 0 {
		t.Fatalf("%v: %+v", err, r)
	}
	return o
}

func (o outcome) decode(t *testing.T, v any) {
	t.Helper()
	if err := json.Unmarshal(o.Body, v); err != nil || o.Status != 0 {
		t.Fatalf("%v: %d %s", err, o.Status, o.Body)
	}
}

func TestHerokuClient(t *testing.T) {
	t.Parallel()
	own := newTenant(t)
	type formation struct {
		Type, Size string
		Quantity   int
	}
	var one formation
	own.request(t, "PATCH", "/apps/APP/formation/worker", `{"body": {"quantity": 2, "size": "standard-2x"}}`).decode(t, &one)
	if want := (formation{"worker", "Standard-2X", 2}); one != want {
		t.Errorf("%+v, want %+v", one, want)
	}
	var list []formation
	own.request(t, "PATCH", "/apps/APP/formation", `{"body": {"updates": [{"type": "worker", "quantity": 1}, {"type": "web", "quantity": "+1"}]}}`).decode(t, &list)
	own.request(t, "GET", "/apps/APP/formation", `{}`).decode(t, &list)
	slices.SortFunc(list, func(a, b formation) int { return strings.Compare(a.Type, b.Type) })
	if want := []formation{{"web", "Standard-1X", 2}, {"worker", "Standard-2X", 1}}; !slices.Equal(list, want) {
		t.Errorf("%+v, want %+v", list, want)
	}
	var dynos []struct{ Name string }
	own.request(t, "GET", "/apps/APP/dynos", `{}`).decode(t, &dynos)
	if len(dynos) != 3 {
		t.Errorf("%+v", dynos)
	}
}

func TestHerokuClientErrors(t *testing.T) {
	t.Parallel()
	own, stranger := newTenant(t), newTenant(t)
	platform.Inject(simulator.Fault{Effect: simulator.HTMLPage, Path: "/apps/" + own.app + "/addons"})
	platform.SetBudget(stranger.account, -1000) // for minutes
	tests := []struct {
		who                   tenant
		method, path, options string
		status                int // 0 for a success
		body                  string
	}{
		{own, "GET", "/apps/none", `{}`, 404, `"id":"not_found"`},
		{own, "GET", "/apps/" + stranger.app, `{}`, 403, `"id":"forbidden"`},
		{own, "PATCH", "/apps/APP/formation/worker", `{"body": {"quantity": 500}}`, 422, `"limit":100`},
		{own, "GET", "/apps/APP", `{"headers": {"Accept": "application/json"}}`, 406, `"id":"not_acceptable"`},
		{own, "GET", "/apps/APP/formation", `{"headers": {"Range": "size .."}}`, 416, `"id":"requested_range_not_satisfiable"`},
		{own, "GET", "/apps/APP/addons", `{}`, 503, `<!DOCTYPE html>`},
		{tenant{app: own.app, token: "HRKU-nobody"}, "GET", "/apps/APP", `{}`, 401, `"id":"unauthorized"`},
		{stranger, "GET", "/apps/APP", `{}`, 429, `"id":"rate_limit"`},
	}
	for _, test := range tests {
		o := test.who.request(t, test.method, test.path, test.options)
		if o.Status != test.status || !strings.Contains(string(o.Body), test.body) {
			t.Errorf("%s %s: %d %s", test.method, test.path, o.Status, o.Body)
		}
	}
}

// heroku-client asks for the rest of a list by itself, unless it is told that a part will do.
func TestHerokuClientPages(t *testing.T) {
	t.Parallel()
	own := newTenant(t)
	for i := range 4 {
		value := fmt.Sprint(i)
		if err := platform.SetConfigVars(own.app, map[string]*string{"A": &value}); err != nil {
			t.Fatal(err)
		}
	}
	type release struct{ Version int }
	tests := []struct {
		options  string
		versions []release
		statuses []int
	}{
		{`{}`, []release{{1}, {2}, {3}, {4}, {5}}, []int{200}},
		{`{"headers": {"Range": "version ..; max=2"}}`, []release{{1}, {2}, {3}, {4}, {5}}, []int{206, 206, 200}},
		{`{"headers": {"Range": "version ..; order=desc,max=1"}, "partial": true}`, []release{{5}}, []int{206}},
		{`{"headers": {"Range": "version ]2..4; order=asc"}}`, []release{{3}, {4}}, []int{200}},
	}
	for _, test := range tests {
		before := len(own.requests())
		var releases []release
		own.request(t, "GET", "/apps/APP/releases", test.options).decode(t, &releases)
		if test.options == `{}` { // by id
			slices.SortFunc(releases, func(a, b release) int { return a.Version - b.Version })
		}
		if !slices.Equal(releases, test.versions) {
			t.Errorf("%s: %v", test.options, releases)
		}
		if err := platform.Wait(t.Context(), func() bool { return len(own.requests()) == before+len(test.statuses) }); err != nil {
			t.Fatal(err)
		}
		for i, r := range own.requests()[before:] {
			if r.Status != test.statuses[i] {
				t.Errorf("%s: %+v", test.options, r)
			}
		}
	}
}
