package simulator_test

import (
	"strconv"
	"testing"

	"github.com/queuescaler/queuescaler/internal/heroku/simulator"
)

func TestControl(t *testing.T) {
	s := platform(t, simulator.Options{}, shop(simulator.Process{}))
	expect := func(method, path, body string, status int) reply {
		t.Helper()
		r := do(t, s, method, path, body, nil)
		if r.status != status {
			t.Errorf("%s %s: %d %s, want %d", method, path, r.status, r.body, status)
		}
		return r
	}

	var added struct{ Fault int }
	expect("POST", "/_simulator/faults", `{"effect": "status", "status": 500, "delay": "1s"}`, 201).decode(t, &added)
	expect("GET", "/apps/shop", "", 500)
	expect("DELETE", "/_simulator/faults/"+strconv.Itoa(added.Fault), "", 204)
	expect("DELETE", "/_simulator/faults/"+strconv.Itoa(added.Fault), "", 404)
	expect("GET", "/apps/shop", "", 200)
	expect("POST", "/_simulator/faults", `{"effect": "html"}`, 201)
	expect("DELETE", "/_simulator/faults", "", 204)
	expect("GET", "/apps/shop", "", 200)

	for _, body := range []string{`{"effect": "magic"}`, `{"effect": "slow", "delay": "long"}`, `{"efect": "slow"}`, `{"effect": "hang", "path": "["}`, `no`} {
		expect("POST", "/_simulator/faults", body, 400)
	}

	expect("PUT", "/_simulator/budget", `{"account": "owner@example.com", "remaining": 0}`, 204)
	expect("GET", "/apps/shop", "", 429)
	expect("PUT", "/_simulator/budget", `{"account": "owner@example.com", "remaining": 10}`, 204)
	expect("PATCH", workerPath, `{"quantity": 1}`, 200)
	expect("PUT", "/_simulator/budget", `{"account": "owner@example.com", "multiplier": 2}`, 204)
	if got := s.Budget(owner); got != 18 {
		t.Errorf("%d left, want twice what was left", got)
	}
	expect("PUT", "/_simulator/config-var", `{"app": "shop", "name": "REDIS_URL", "value": "redis://new"}`, 204)
	if got := s.ConfigVars("shop")["REDIS_URL"]; got != "redis://new" {
		t.Error(got)
	}
	expect("PUT", "/_simulator/config-var", `{"app": "none", "name": "REDIS_URL", "value": "redis://new"}`, 400)
	expect("GET", "/_simulator/deliveries", "", 200)
	expect("GET", "/_simulator/other", "", 404)

	await(t, s, func() bool { return len(s.Requests()) == 5 })
	var requests []simulator.Request
	expect("GET", "/_simulator/requests", "", 200).decode(t, &requests)
	if len(requests) != 5 || requests[0].Status != 500 {
		t.Errorf("%+v", requests)
	}
	var all, last []simulator.Event
	awaitEvents(t, s, simulator.Up, 1)
	expect("GET", "/_simulator/events", "", 200).decode(t, &all)
	expect("GET", "/_simulator/events?after="+strconv.Itoa(len(all)-1), "", 200).decode(t, &last)
	if len(all) == 0 || len(last) == 0 || last[0].Seq != len(all) {
		t.Errorf("%+v, then %+v", all, last)
	}
}
