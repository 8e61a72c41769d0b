package simulator_test

import (
	"testing"

	"github.com/queuescaler/queuescaler/internal/heroku/simulator"
)

func TestFormationUpdates(t *testing.T) {
	const one, batch = "/apps/shop/formation/worker", "/apps/shop/formation"
	tests := []struct {
		name, path, body string
		status           int
		error            apiError
		worker, web      int
	}{
		{name: "an integer", path: one, body: `{"quantity": 5}`, status: 200, worker: 5, web: 1},
		{name: "zero", path: one, body: `{"quantity": 0}`, status: 200, worker: 0, web: 1},
		{name: "nothing", path: one, body: `{}`, status: 200, worker: 2, web: 1},
		{name: "a string", path: batch, body: `{"updates": [{"type": "worker", "quantity": "3"}]}`, status: 200, worker: 3, web: 1},
		{name: "more", path: batch, body: `{"updates": [{"type": "worker", "quantity": "+2"}]}`, status: 200, worker: 4, web: 1},
		{name: "less", path: batch, body: `{"updates": [{"type": "worker", "quantity": "-1"}]}`, status: 200, worker: 1, web: 1},
		{name: "both", path: batch, body: `{"updates": [{"type": "worker", "quantity": 1}, {"type": "web", "quantity": 0}]}`, status: 200, worker: 1, web: 0},
		{name: "size", path: one, body: `{"size": "standard-2x"}`, status: 200, worker: 2, web: 1},
		{name: "dyno_size", path: one, body: `{"dyno_size": {"name": "Standard-2X"}}`, status: 200, worker: 2, web: 1},
		{name: "limit of the size", path: one, body: `{"quantity": 11, "size": "performance-m"}`, status: 422,
			error: apiError{ID: "cannot_update_above_limit", Message: "Cannot update to more than 10 Performance-M size dynos per process type.", Limit: 10}, worker: 2, web: 1},
		{name: "up to the limit of the app", path: one, body: `{"quantity": 99}`, status: 200, worker: 99, web: 1},
		{name: "limit of the app", path: one, body: `{"quantity": 100}`, status: 422,
			error: apiError{ID: "cannot_update_above_limit", Limit: 100}, worker: 2, web: 1},
		{name: "limit in a batch", path: batch, body: `{"updates": [{"type": "worker", "quantity": 50}, {"type": "web", "quantity": 51}]}`, status: 422,
			error: apiError{ID: "cannot_update_above_limit", Limit: 100}, worker: 2, web: 1},
		{name: "unknown type in a batch", path: batch, body: `{"updates": [{"type": "worker", "quantity": 5}, {"type": "clock", "quantity": 1}]}`, status: 404,
			error: apiError{ID: "not_found", Message: "Couldn't find that process type (clock)."}, worker: 2, web: 1},
		{name: "mixed tiers", path: one, body: `{"quantity": 1, "size": "basic"}`, status: 422,
			error: apiError{ID: "invalid_params", Message: "Cannot use the following dyno types in the same app: Basic and Standard-1X"}, worker: 2, web: 1},
		{name: "quantity and size", path: one, body: `{"quantity": 3, "size": "standard-2x"}`, status: 200, worker: 3, web: 1},
		{name: "quantity and dyno_size", path: batch, body: `{"updates": [{"type": "worker", "quantity": 3, "dyno_size": "Standard-2X"}]}`, status: 200, worker: 3, web: 1},
		{name: "quantity and an unknown dyno_size", path: one, body: `{"quantity": 3, "dyno_size": "3X"}`, status: 422, error: apiError{ID: "invalid_params",
			Message: "No such size as 3X. Available dyno sizes are Eco, Basic, Standard-1X, Standard-2X, Performance-M, Performance-L, Performance-L-RAM, Performance-XL and Performance-2XL."}, worker: 2, web: 1},
		{name: "a size of another tier for no dynos", path: one, body: `{"quantity": 0, "dyno_size": "basic"}`, status: 200, worker: 0, web: 1},
		{name: "unknown size", path: one, body: `{"size": "1X"}`, status: 422, error: apiError{ID: "invalid_params",
			Message: "No such size as 1X. Available dyno sizes are Eco, Basic, Standard-1X, Standard-2X, Performance-M, Performance-L, Performance-L-RAM, Performance-XL and Performance-2XL."}, worker: 2, web: 1},
		{name: "size of a private space", path: one, body: `{"size": "private-s"}`, status: 422, error: apiError{ID: "invalid_params"}, worker: 2, web: 1},
		{name: "below zero", path: batch, body: `{"updates": [{"type": "worker", "quantity": "-3"}]}`, status: 422, error: apiError{ID: "invalid_params"}, worker: 2, web: 1},
		{name: "negative", path: one, body: `{"quantity": -1}`, status: 422, error: apiError{ID: "invalid_params"}, worker: 2, web: 1},
		{name: "a fraction", path: one, body: `{"quantity": 1.5}`, status: 422, error: apiError{ID: "invalid_params"}, worker: 2, web: 1},
		{name: "a word", path: one, body: `{"quantity": "many"}`, status: 422, error: apiError{ID: "invalid_params"}, worker: 2, web: 1},
		{name: "an empty string", path: one, body: `{"quantity": ""}`, status: 422, error: apiError{ID: "invalid_params"}, worker: 2, web: 1},
		{name: "no updates", path: batch, body: `{}`, status: 422, error: apiError{ID: "invalid_params"}, worker: 2, web: 1},
		{name: "no JSON", path: one, body: `quantity=1`, status: 400, error: apiError{ID: "bad_request"}, worker: 2, web: 1},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := platform(t, simulator.Options{}, shop(simulator.Process{Quantity: 2}))
			r := do(t, s, "PATCH", test.path, test.body, nil)
			if r.status != test.status {
				t.Fatalf("%d %s, want %d", r.status, r.body, test.status)
			}
			if test.status >= 400 {
				e := r.apiError(t)
				if e.ID != test.error.ID || e.Limit != test.error.Limit || (test.error.Message != "" && e.Message != test.error.Message) {
					t.Errorf("%+v, want %+v", e, test.error)
				}
			}
			if worker, web := s.Quantity("shop", "worker"), s.Quantity("shop", "web"); worker != test.worker || web != test.web {
				t.Errorf("worker %d, web %d, want %d and %d", worker, web, test.worker, test.web)
			}
		})
	}
}

func TestLimitsNeverForbidLess(t *testing.T) {
	s := platform(t, simulator.Options{}, shop(simulator.Process{Quantity: 20}))
	s.SetDynoLimit("shop", 5)
	for _, test := range []struct {
		body   string
		status int
	}{{`{"quantity": 21}`, 422}, {`{"quantity": 20}`, 200}, {`{"quantity": 10}`, 200}} {
		if r := do(t, s, "PATCH", "/apps/shop/formation/worker", test.body, nil); r.status != test.status {
			t.Errorf("%s: %d %s", test.body, r.status, r.body)
		}
	}
}

func TestIdentities(t *testing.T) {
	s := platform(t, simulator.Options{}, shop(simulator.Process{}))
	var app struct{ ID string }
	get(t, s, "/apps/shop").decode(t, &app)
	var f struct{ ID string }
	get(t, s, "/apps/"+app.ID+"/formation/worker").decode(t, &f)
	path := "/apps/" + app.ID + "/formation/" + f.ID
	if r := do(t, s, "PATCH", path, `{"quantity": 1}`, nil); r.status != 200 || s.Quantity("shop", "worker") != 1 {
		t.Errorf("%s: %d %s", path, r.status, r.body)
	}
	s.RemoveApp("shop")
	if r := get(t, s, path); r.status != 404 || s.Quantity("shop", "worker") != -1 {
		t.Errorf("%d after RemoveApp", r.status)
	}
}

func TestEveryUpdateIsRecorded(t *testing.T) {
	s := platform(t, simulator.Options{}, shop(simulator.Process{Quantity: 2}))
	do(t, s, "PATCH", "/apps/shop/formation/worker", `{"quantity": 2}`, headers{"Request-Id": "mine"})
	if err := s.Scale("shop", "worker", 0); err != nil {
		t.Fatal(err)
	}
	events := ofKind(s, simulator.Scaled)
	if len(events) != 2 {
		t.Fatalf("%+v", events)
	}
	patch, person := events[0], events[1]
	if patch.OldQuantity != 2 || patch.NewQuantity != 2 || patch.Method != "PATCH" || patch.Account != owner || patch.RequestID[:5] != "mine," {
		t.Errorf("%+v", patch)
	}
	if person.OldQuantity != 2 || person.NewQuantity != 0 || person.Method != "" {
		t.Errorf("%+v", person)
	}
}

func TestAddAppRefuses(t *testing.T) {
	s := platform(t, simulator.Options{}, shop(simulator.Process{}))
	for name, a := range map[string]simulator.App{
		"a doubled name":         shop(simulator.Process{}),
		"an invalid name":        {Name: "Shop"},
		"an invalid type":        {Name: "other", Formation: []simulator.Process{{Type: "a.b"}}},
		"a doubled type":         {Name: "other", Formation: []simulator.Process{{Type: "a"}, {Type: "a"}}},
		"an unknown size":        {Name: "other", Formation: []simulator.Process{{Type: "a", Size: "huge"}}},
		"a quantity below zero":  {Name: "other", Formation: []simulator.Process{{Type: "a", Quantity: -1}}},
		"a size of other spaces": {Name: "other", Formation: []simulator.Process{{Type: "a", Size: "private-s"}}},
	} {
		if s.AddApp(a) == nil {
			t.Errorf("AddApp takes %s", name)
		}
	}
}
