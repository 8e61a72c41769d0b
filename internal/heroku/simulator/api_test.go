package simulator_test

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/queuescaler/queuescaler/internal/heroku/simulator"
)

func basic(user, password string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))
}

func TestGates(t *testing.T) {
	private := simulator.App{Name: "private", Accounts: []string{"other@example.com"}, Formation: []simulator.Process{{Type: "web"}}}
	s := platform(t, simulator.Options{}, shop(simulator.Process{}), private)
	tests := []struct {
		name, method, path string
		headers            headers
		status             int
		id, message        string
	}{
		{"bearer", "GET", "/apps/shop", nil, 200, "", ""},
		{"basic without a user", "GET", "/apps/shop", headers{"Authorization": basic("", secret)}, 200, "", ""},
		{"basic with an e-mail", "GET", "/apps/shop", headers{"Authorization": basic(owner, secret)}, 200, "", ""},
		{"basic with another user", "GET", "/apps/shop", headers{"Authorization": basic("me", secret)}, 401, "unauthorized", "Invalid credentials provided."},
		{"a wrong token", "GET", "/apps/shop", headers{"Authorization": "Bearer x"}, 401, "unauthorized", "Invalid credentials provided."},
		{"no token", "GET", "/apps/shop", headers{"Authorization": ""}, 401, "unauthorized", "Invalid credentials provided."},
		{"the CLI's variant", "GET", "/apps/shop", headers{"Accept": "application/vnd.heroku+json; version=3.sdk"}, 200, "", ""},
		{"any type", "GET", "/apps/shop", headers{"Accept": "*/*"}, 406, "not_acceptable", ""},
		{"plain JSON", "GET", "/apps/shop", headers{"Accept": "application/json"}, 406, "not_acceptable", ""},
		{"an old version", "GET", "/apps/shop", headers{"Accept": "application/vnd.heroku+json; version=2"}, 406, "not_acceptable", ""},
		{"version 30", "GET", "/apps/shop", headers{"Accept": "application/vnd.heroku+json; version=30"}, 406, "not_acceptable", ""},
		{"no such app", "GET", "/apps/none/formation", nil, 404, "not_found", "Couldn't find that app."},
		{"another account's app", "GET", "/apps/private", nil, 403, "forbidden", "You do not have access to the app private."},
		{"no such process type", "GET", "/apps/shop/formation/clock", nil, 404, "not_found", "Couldn't find that process type (clock)."},
		{"no such dyno", "GET", "/apps/shop/dynos/worker.7", nil, 404, "not_found", "Couldn't find that dyno."},
		{"no such release", "GET", "/apps/shop/releases/7", nil, 404, "not_found", "Couldn't find that release."},
		{"no such webhook", "GET", "/apps/shop/webhooks/7", nil, 404, "not_found", "Couldn't find that webhook."},
		{"no add-ons", "GET", "/apps/shop/addons", nil, 200, "", ""},
		{"no such endpoint", "GET", "/apps/shop/pipeline-couplings", nil, 404, "not_found", ""},
		{"no such method", "POST", "/apps/shop/formation", nil, 404, "not_found", ""},
		{"an invalid range", "GET", "/apps/shop/formation", headers{"Range": "bytes=1"}, 416, "requested_range_not_satisfiable", ""},
		{"a range by an unknown field", "GET", "/apps/shop/formation", headers{"Range": "size .."}, 416, "requested_range_not_satisfiable", ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := do(t, s, test.method, test.path, "", test.headers)
			if r.status != test.status {
				t.Fatalf("%d %s, want %d", r.status, r.body, test.status)
			}
			if test.status < 400 {
				return
			}
			e := r.apiError(t)
			if e.ID != test.id || (test.message != "" && e.Message != test.message) {
				t.Errorf("%+v", e)
			}
		})
	}
}

func TestScopes(t *testing.T) {
	s := platform(t, simulator.Options{}, shop(simulator.Process{}))
	tests := []struct {
		method, path string
		allowed      []string
	}{
		{"GET", "/account", []string{"identity"}},
		{"GET", "/apps/shop/formation", []string{"read", "write", "read-protected", "write-protected"}},
		{"PATCH", "/apps/shop/formation/worker", []string{"write", "write-protected"}},
		{"GET", "/apps/shop/config-vars", []string{"read-protected", "write-protected"}},
		{"GET", "/apps/shop/releases/1/config-vars", []string{"read-protected", "write-protected"}},
		{"PATCH", "/apps/shop/config-vars", []string{"write-protected"}},
	}
	for _, test := range tests {
		for _, scope := range []string{"identity", "read", "write", "read-protected", "write-protected"} {
			t.Run(test.method+test.path+" "+scope, func(t *testing.T) {
				want := http.StatusForbidden
				if slices.Contains(test.allowed, scope) {
					want = http.StatusOK
				}
				r := do(t, s, test.method, test.path, "{}", headers{"Authorization": "Bearer HRKU-" + scope})
				if r.status != want {
					t.Fatalf("%d %s, want %d", r.status, r.body, want)
				}
				accepted := strings.Fields(r.header.Get("Oauth-Scope-Accepted"))
				if r.header.Get("Oauth-Scope") != scope || slices.Contains(accepted, scope) != (want == http.StatusOK) {
					t.Errorf("scope %q, accepted %q", r.header.Get("Oauth-Scope"), accepted)
				}
			})
		}
	}
}

func TestHeaders(t *testing.T) {
	s := platform(t, simulator.Options{}, shop(simulator.Process{}))
	r := do(t, s, "GET", "/apps/shop/formation", "", headers{"Request-Id": "mine"})
	ids := strings.Split(r.header.Get("Request-Id"), ",")
	if len(ids) != 2 || ids[0] != "mine" || len(ids[1]) != 36 {
		t.Errorf("Request-Id %q", ids)
	}
	for name, want := range map[string]string{
		"Cache-Control": "private, no-cache", "Ratelimit-Remaining": "4499", "Ratelimit-Multiplier": "1",
		"Content-Type": "application/json", "Accept-Ranges": "id, type",
	} {
		if got := r.header.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if _, err := http.ParseTime(r.header.Get("Last-Modified")); err != nil {
		t.Error(err)
	}
}

func TestConditionalRequest(t *testing.T) {
	s := platform(t, simulator.Options{}, shop(simulator.Process{}))
	etag := get(t, s, "/apps/shop/formation/worker").header.Get("Etag")
	again := func() reply {
		return do(t, s, "GET", "/apps/shop/formation/worker", "", headers{"If-None-Match": etag})
	}
	r := again()
	if r.status != http.StatusNotModified || len(r.body) > 0 {
		t.Errorf("%d %s, want 304", r.status, r.body)
	}
	if r.header.Get("Ratelimit-Remaining") != "4498" {
		t.Errorf("a 304 costs a token: %s left", r.header.Get("Ratelimit-Remaining"))
	}
	if err := s.Scale("shop", "worker", 1); err != nil {
		t.Fatal(err)
	}
	if r := again(); r.status != http.StatusOK {
		t.Errorf("%d after a change, want 200", r.status)
	}
}

func TestPaging(t *testing.T) {
	var wide simulator.App
	wide.Name = "wide"
	for i := range 5 {
		wide.Formation = append(wide.Formation, simulator.Process{Type: fmt.Sprintf("type%d", i)})
	}
	s := platform(t, simulator.Options{}, wide)
	tests := []struct {
		first string
		pages [][]string
	}{
		{"type ..; max=2", [][]string{{"type0", "type1"}, {"type2", "type3"}, {"type4"}}},
		{"type ..; max=2,order=desc", [][]string{{"type4", "type3"}, {"type2", "type1"}, {"type0"}}},
		{"type type1..type3", [][]string{{"type1", "type2", "type3"}}},
		{"type ]type1..; max=1000", [][]string{{"type2", "type3", "type4"}}},
	}
	for _, test := range tests {
		t.Run(test.first, func(t *testing.T) {
			next := test.first
			for i, page := range test.pages {
				r := do(t, s, "GET", "/apps/wide/formation", "", headers{"Range": next})
				var formations []struct{ Type string }
				r.decode(t, &formations)
				var types []string
				for _, f := range formations {
					types = append(types, f.Type)
				}
				if !slices.Equal(types, page) {
					t.Fatalf("page %d: %v, want %v", i, types, page)
				}
				last := i == len(test.pages)-1
				next = r.header.Get("Next-Range")
				if (r.status == http.StatusPartialContent) == last || (next == "") != last {
					t.Errorf("page %d: status %d, Next-Range %q", i, r.status, next)
				}
			}
		})
	}
}

// Versions are numbers: the tenth comes after the ninth. So asks the CLI's config:set.
func TestTheNewestReleaseFirst(t *testing.T) {
	s := platform(t, simulator.Options{}, shop(simulator.Process{}))
	for i := range 10 {
		do(t, s, "PATCH", "/apps/shop/config-vars", fmt.Sprintf(`{"A": "%d"}`, i), nil)
	}
	var releases []struct {
		Version     int
		Description string
		Current     bool
	}
	do(t, s, "GET", "/apps/shop/releases", "", headers{"Range": "version ..; order=desc,max=1"}).decode(t, &releases)
	if len(releases) != 1 || releases[0].Version != 11 || !releases[0].Current || releases[0].Description != "Set A config vars" {
		t.Errorf("%+v", releases)
	}
}

func TestAReleaseByVersionOrID(t *testing.T) {
	s := platform(t, simulator.Options{}, shop(simulator.Process{}))
	do(t, s, "PATCH", "/apps/shop/config-vars", `{"A": "1"}`, nil)
	type release struct {
		ID      string
		Version int
		Current bool
	}
	for version, current := range map[string]bool{"1": false, "2": true} {
		var byVersion, byID release
		get(t, s, "/apps/shop/releases/"+version).decode(t, &byVersion)
		get(t, s, "/apps/shop/releases/"+byVersion.ID).decode(t, &byID)
		if byVersion != byID || fmt.Sprint(byVersion.Version) != version || byVersion.Current != current {
			t.Errorf("%s: %+v, %+v", version, byVersion, byID)
		}
		var vars map[string]string
		get(t, s, "/apps/shop/releases/"+version+"/config-vars").decode(t, &vars)
		if (vars["A"] == "1") != current || vars["REDIS_URL"] != "redis://example" {
			t.Errorf("%s: %v", version, vars)
		}
	}
}

func TestRequestsAreRecordedWithoutTheToken(t *testing.T) {
	s := platform(t, simulator.Options{}, shop(simulator.Process{}))
	get(t, s, "/apps/shop")
	do(t, s, "GET", "/apps/none", "", headers{"Authorization": "Bearer HRKU-read"})
	await(t, s, func() bool { return len(s.Requests()) == 2 })
	text := fmt.Sprintf("%+v", s.Requests())
	if strings.Contains(text, "HRKU") {
		t.Errorf("a token in %s", text)
	}
	first, second := s.Requests()[0], s.Requests()[1]
	if first.Status != 200 || first.Token != owner || second.Status != 404 || second.Token != "read" || second.Path != "/apps/none" {
		t.Error(text)
	}
}
