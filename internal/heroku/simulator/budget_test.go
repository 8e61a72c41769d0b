package simulator_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/queuescaler/queuescaler/internal/heroku/simulator"
)

// quiet runs a test with a Server on a fake clock, and without a network.
func quiet(t *testing.T, o simulator.Options, test func(t *testing.T, s *simulator.Server)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := simulator.New(o)
		addTokens(s)
		test(t, s)
		if err := s.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
}

func answer(t *testing.T, s *simulator.Server, token, path string) *httptest.ResponseRecorder {
	t.Helper()
	w := httptest.NewRecorder()
	s.ServeHTTP(w, newRequest(t, "", http.MethodGet, path, "", headers{"Authorization": "Bearer " + token}))
	return w
}

func TestBudgetBelongsToTheAccount(t *testing.T) {
	quiet(t, simulator.Options{}, func(t *testing.T, s *simulator.Server) {
		s.AddToken(simulator.Token{Secret: "other", Account: "other@example.com"})
		s.SetBudget(owner, 2)
		steps := []struct {
			wait        time.Duration
			token, path string
			status      int
			remaining   string
		}{
			{0, secret, "/account", 200, "1"},
			{0, "HRKU-identity", "/account", 200, "0"},
			{0, secret, "/account", 429, "0"},
			{0, secret, "/account/rate-limits", 200, "0"},
			{0, "other", "/account", 200, "4499"},
			{799 * time.Millisecond, secret, "/account", 429, "0"},
			{time.Millisecond, secret, "/account", 200, "0"},
			{time.Minute, secret, "/account", 200, "74"},
			{2 * time.Hour, secret, "/account/rate-limits", 200, "4500"},
		}
		for i, step := range steps {
			time.Sleep(step.wait)
			w := answer(t, s, step.token, step.path)
			if remaining := w.Header().Get("Ratelimit-Remaining"); w.Code != step.status || remaining != step.remaining {
				t.Errorf("step %d: %d with %s left, want %d with %s", i, w.Code, remaining, step.status, step.remaining)
			}
		}
	})
}

func TestRateMultiplier(t *testing.T) {
	quiet(t, simulator.Options{}, func(t *testing.T, s *simulator.Server) {
		s.AddToken(simulator.Token{Secret: "other", Account: "other@example.com"})
		s.SetRateMultiplier(owner, 3)
		steps := []struct {
			wait                  time.Duration
			token                 string
			multiplier, remaining string
		}{
			{0, secret, "3", "13499"},
			{0, "HRKU-identity", "3", "13498"},
			{time.Second, secret, "3", "13499"}, // 3.75 came back, up to the capacity
			{0, "other", "1", "4499"},
		}
		for i, step := range steps {
			time.Sleep(step.wait)
			h := answer(t, s, step.token, "/account").Header()
			if h.Get("Ratelimit-Multiplier") != step.multiplier || h.Get("Ratelimit-Remaining") != step.remaining {
				t.Errorf("step %d: %v", i, h)
			}
		}
		s.SetBudget(owner, 0)
		time.Sleep(time.Minute)
		if got := s.Budget(owner); got != 225 {
			t.Errorf("%d came back in a minute, want 225", got)
		}
		s.SetRateMultiplier(owner, 1)
		if got := s.Budget(owner); got != 75 {
			t.Errorf("%d left, want a third", got)
		}
	})
}
