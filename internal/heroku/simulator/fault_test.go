package simulator_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/queuescaler/queuescaler/internal/heroku/simulator"
)

const workerPath = "/apps/shop/formation/worker"

func TestFaultAnswers(t *testing.T) {
	tests := []struct {
		name   string
		fault  simulator.Fault
		status int
		body   string
		header headers
		after  int // quantity of worker
	}{
		{"status", simulator.Fault{Effect: simulator.Status, Status: 500, ID: "oops", Message: "Oh no."}, 500, `"id": "oops"`, nil, 0},
		{"unavailable", simulator.Fault{Effect: simulator.Status}, 503, `"id": "unavailable"`, nil, 0},
		{"page", simulator.Fault{Effect: simulator.HTMLPage}, 503, "<!DOCTYPE html>", headers{"Content-Type": "text/html; charset=utf-8"}, 0},
		{"rate limit", simulator.Fault{Effect: simulator.RateLimit, RetryAfter: "7"}, 429, `"id": "rate_limit"`, headers{"Retry-After": "7"}, 0},
		{"slow", simulator.Fault{Effect: simulator.Slow, Delay: time.Millisecond}, 200, `"quantity": 1`, nil, 1},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := platform(t, simulator.Options{}, shop(simulator.Process{}))
			test.fault.Times = 1
			s.Inject(test.fault)
			r := do(t, s, "PATCH", workerPath, `{"quantity": 1}`, nil)
			if r.status != test.status || !strings.Contains(string(r.body), test.body) {
				t.Errorf("%d %s", r.status, r.body)
			}
			for name, want := range test.header {
				if got := r.header.Get(name); got != want {
					t.Errorf("%s: %q, want %q", name, got, want)
				}
			}
			if got := s.Quantity("shop", "worker"); got != test.after {
				t.Errorf("quantity %d, want %d", got, test.after)
			}
			if r := get(t, s, workerPath); r.status != 200 {
				t.Errorf("%d, but the fault was for once", r.status)
			}
		})
	}
}

// A batch of three updates that raises web, worker and web again.
func TestABatchIsPartlyApplied(t *testing.T) {
	const batch = `{"updates": [{"type": "web", "quantity": 2}, {"type": "worker", "quantity": 3}, {"type": "web", "quantity": 5}]}`
	for applied, want := range []struct {
		status, web, worker int
		refused             string
	}{{422, 1, 0, "web"}, {422, 2, 0, "worker"}, {422, 2, 3, "web"}, {200, 5, 3, ""}} {
		s := platform(t, simulator.Options{}, shop(simulator.Process{}))
		s.Inject(simulator.Fault{Effect: simulator.PartlyApply, Applied: applied})
		r := do(t, s, "PATCH", "/apps/shop/formation", batch, nil)
		if r.status != want.status || s.Quantity("shop", "web") != want.web || s.Quantity("shop", "worker") != want.worker {
			t.Errorf("%d applied: %d, web %d, worker %d", applied, r.status, s.Quantity("shop", "web"), s.Quantity("shop", "worker"))
		}
		if want.status == 422 && r.apiError(t).Message != "Cannot update "+want.refused+"." {
			t.Errorf("%d applied: %s", applied, r.body)
		}
		var refused string
		for _, e := range s.Events() {
			if e.Kind == simulator.Refused {
				refused += e.Type
			}
		}
		if refused != want.refused {
			t.Errorf("%d applied: refused %q, want %q", applied, refused, want.refused)
		}
	}
}

func TestFaultsThatCutTheConnection(t *testing.T) {
	for effect, quantity := range map[simulator.Effect]int{simulator.Reset: 0, simulator.LoseAnswer: 1} {
		t.Run(string(effect), func(t *testing.T) {
			s := platform(t, simulator.Options{}, shop(simulator.Process{}))
			s.Inject(simulator.Fault{Effect: effect, Times: 1})
			_, err := try(t, s, "PATCH", workerPath, `{"quantity": 1}`, nil)
			if !errors.Is(err, syscall.ECONNRESET) && !errors.Is(err, io.EOF) {
				t.Errorf("%v, want a reset", err)
			}
			await(t, s, func() bool { return len(s.Requests()) == 1 })
			if r := s.Requests()[0]; r.Status != 0 || r.Path != workerPath || r.Account != owner {
				t.Errorf("%+v", r)
			}
			if got := s.Quantity("shop", "worker"); got != quantity {
				t.Errorf("quantity %d, want %d", got, quantity)
			}
		})
	}
}

// hang sends a request that meets a Hang, and returns its error.
func hang(t *testing.T, s *simulator.Server, ctx context.Context) <-chan error {
	t.Helper()
	arrived := make(chan struct{})
	s.BeforeRequest(func(*http.Request) { close(arrived) })
	s.Inject(simulator.Fault{Effect: simulator.Hang})
	r := newRequest(t, s.URL(), "PATCH", workerPath, `{"quantity": 1}`, nil).WithContext(ctx)
	failed := make(chan error, 1)
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	go func() {
		_, err := client.Do(r) //nolint:bodyclose // there is none
		failed <- err
	}()
	<-arrived
	return failed
}

func TestAHangEndsWithTheClient(t *testing.T) {
	s := platform(t, simulator.Options{}, shop(simulator.Process{}))
	ctx, leave := context.WithCancel(t.Context())
	failed := hang(t, s, ctx)
	leave()
	if err := <-failed; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	await(t, s, func() bool { return len(s.Requests()) == 1 })
	if s.Quantity("shop", "worker") != 0 {
		t.Error("it was applied")
	}
}

func TestAHangEndsWithTheServer(t *testing.T) {
	s := platform(t, simulator.Options{}, shop(simulator.Process{}))
	failed := hang(t, s, t.Context())
	if err := s.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if <-failed == nil {
		t.Error("an answer")
	}
}

func TestFaultsChoose(t *testing.T) {
	s := platform(t, simulator.Options{}, shop(simulator.Process{}))
	expect := func(method, path string, status int) {
		t.Helper()
		if r := do(t, s, method, path, "{}", nil); r.status != status {
			t.Errorf("%s %s: %d, want %d", method, path, r.status, status)
		}
	}
	remove := s.Inject(simulator.Fault{Effect: simulator.Status, Status: 500, Method: "PATCH", Path: "/apps/*/formation/*"})
	s.Inject(simulator.Fault{Effect: simulator.Status, Status: 502, Times: 2, Match: func(r *http.Request) bool {
		return r.URL.Path == "/account"
	}})
	expect("PATCH", workerPath, 500)
	expect("PATCH", workerPath, 500)
	expect("GET", workerPath, 200)
	expect("GET", "/account", 502)
	expect("GET", "/account", 502)
	expect("GET", "/account", 200)
	remove()
	expect("PATCH", workerPath, 200)
}

func TestHooks(t *testing.T) {
	s := platform(t, simulator.Options{}, shop(simulator.Process{}))
	before, after := -1, -1
	var seen simulator.Request
	removeBefore := s.BeforeRequest(func(*http.Request) { before = s.Quantity("shop", "worker") })
	removeAfter := s.AfterRequest(func(r simulator.Request) { after, seen = s.Quantity("shop", "worker"), r })
	do(t, s, "PATCH", workerPath, `{"quantity": 1}`, nil)
	if before != 0 || after != 1 || seen.Status != 200 || seen.Account != owner {
		t.Errorf("before %d, after %d, %+v", before, after, seen)
	}
	removeBefore()
	removeAfter()
	do(t, s, "PATCH", workerPath, `{"quantity": 2}`, nil)
	if before != 0 || after != 1 {
		t.Error("removed hooks were called")
	}
}
