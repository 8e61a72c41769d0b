package simulator_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/queuescaler/queuescaler/internal/heroku/simulator"
)

// receiver stands for the other end of webhooks.
type receiver struct {
	answers func(attempt int) (status int) // from 1; 0 never answers

	mu       sync.Mutex
	received []received
}

type received struct {
	at     time.Time
	header http.Header
	body   []byte
}

func (r *receiver) RoundTrip(request *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(request.Body)
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	r.received = append(r.received, received{time.Now(), request.Header, body})
	attempt := len(r.received)
	r.mu.Unlock()
	status := http.StatusNoContent
	if r.answers != nil {
		status = r.answers(attempt)
	}
	if status == 0 {
		<-request.Context().Done()
		return nil, request.Context().Err()
	}
	return &http.Response{StatusCode: status, Body: http.NoBody}, nil
}

func (r *receiver) all() []received {
	synctest.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.received)
}

// bodies decodes what was received.
func (r *receiver) bodies(t *testing.T) (bodies []body) {
	t.Helper()
	for _, one := range r.all() {
		var b body
		if err := json.Unmarshal(one.body, &b); err != nil {
			t.Fatalf("%v: %s", err, one.body)
		}
		bodies = append(bodies, b)
	}
	return bodies
}

// body is what the tests look at.
type body struct {
	Action, Resource string
	Actor            struct{ Email string }
	Data             json.RawMessage
	PreviousData     map[string]any `json:"previous_data"`
	Metadata         struct {
		Attempt, Delivery struct{ ID string }
		Event             struct{ ID, Include string }
	} `json:"webhook_metadata"`
}

func (b body) field(t *testing.T, name string) any {
	t.Helper()
	var data map[string]any
	if err := json.Unmarshal(b.Data, &data); err != nil {
		t.Fatal(err)
	}
	return data[name]
}

// direct sends a request without a network.
func direct(t *testing.T, s *simulator.Server, method, path, body string, status int) *httptest.ResponseRecorder {
	t.Helper()
	w := httptest.NewRecorder()
	s.ServeHTTP(w, newRequest(t, "", method, path, body, nil))
	if w.Code != status {
		t.Fatalf("%s %s: %d %s, want %d", method, path, w.Code, w.Body, status)
	}
	return w
}

// subscribed is a test of an app with a webhook, on a fake clock.
func subscribed(t *testing.T, r *receiver, level, entity string, test func(t *testing.T, s *simulator.Server)) {
	t.Helper()
	quiet(t, simulator.Options{DeliveryTransport: r}, func(t *testing.T, s *simulator.Server) {
		add(t, s, worker(0))
		direct(t, s, "POST", webhooksPath, subscription(level, entity), http.StatusCreated)
		test(t, s)
	})
}

func quantities(t *testing.T, r *receiver) (all []float64) {
	t.Helper()
	for _, b := range r.bodies(t) {
		all = append(all, b.field(t, "quantity").(float64))
	}
	return all
}

func TestAttempts(t *testing.T) {
	failing := func(times int) func(int) int {
		return func(attempt int) int {
			if attempt <= times {
				return http.StatusServiceUnavailable
			}
			return http.StatusOK
		}
	}
	tests := []struct {
		name, level string
		answers     func(int) int
		at          []time.Duration // since the change
	}{
		{"sync succeeds", "sync", failing(0), []time.Duration{0}},
		{"sync tries again", "sync", failing(3), []time.Duration{0, time.Second, 3 * time.Second, 7 * time.Second}},
		{"a redirect is no success", "sync", func(attempt int) int { return 302 - 102*(attempt-1) }, []time.Duration{0, time.Second}},
		{"sync gives up waiting", "sync", func(attempt int) int { return 200 * (attempt - 1) }, []time.Duration{0, 11 * time.Second}},
		{"notify succeeds", "notify", failing(0), []time.Duration{0}},
		{"notify fails", "notify", failing(3), []time.Duration{0}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := &receiver{answers: test.answers}
			subscribed(t, r, test.level, "api:formation", func(t *testing.T, s *simulator.Server) {
				start := time.Now()
				scale(t, s, 1)
				time.Sleep(time.Hour)
				var at []time.Duration
				for _, one := range r.all() {
					at = append(at, one.at.Sub(start))
				}
				if !slices.Equal(at, test.at) {
					t.Errorf("at %v, want %v", at, test.at)
				}
				attempts := map[string]bool{}
				for _, b := range r.bodies(t) {
					attempts[b.Metadata.Attempt.ID] = true
				}
				for i, d := range s.Deliveries() {
					if d.Attempt != i+1 || d.ID != s.Deliveries()[0].ID || d.Status != test.answers(i+1) || (d.Error == "") != (d.Status > 0) {
						t.Errorf("%+v", d)
					}
				}
				if len(attempts) != len(test.at) || len(s.Deliveries()) != len(test.at) {
					t.Errorf("%d attempts, %d recorded", len(attempts), len(s.Deliveries()))
				}
			})
		})
	}
}

func TestSyncGivesUpAfterThreeDays(t *testing.T) {
	r := &receiver{answers: func(int) int { return http.StatusInternalServerError }}
	subscribed(t, r, "sync", "api:formation", func(t *testing.T, s *simulator.Server) {
		start := time.Now()
		scale(t, s, 1)
		time.Sleep(2 * time.Hour)
		scale(t, s, 2)
		time.Sleep(100 * 24 * time.Hour)
		all := r.all()
		bodies := r.bodies(t)
		first := slices.IndexFunc(bodies, func(b body) bool { return b.field(t, "quantity") == 2.0 })
		last, next := all[first-1].at.Sub(start), all[first].at.Sub(start)
		if last > 72*time.Hour || last < 71*time.Hour || next != last {
			t.Errorf("given up after %s, the next one tried after %s", last, next)
		}
		if gap := all[first-1].at.Sub(all[first-2].at); gap != time.Hour {
			t.Errorf("the last pause was %s", gap)
		}
	})
}

func TestDeliveriesKeepTheirOrder(t *testing.T) {
	r := &receiver{answers: func(attempt int) int { return map[bool]int{true: 500, false: 200}[attempt == 1] }}
	subscribed(t, r, "sync", "api:formation", func(t *testing.T, s *simulator.Server) {
		for quantity := range 4 {
			scale(t, s, quantity+1)
		}
		time.Sleep(time.Minute)
		if got := quantities(t, r); !slices.Equal(got, []float64{1, 1, 2, 3, 4}) {
			t.Error(got)
		}
	})
}

func TestARemovedWebhookIsSilent(t *testing.T) {
	remove := map[string]func(t *testing.T, s *simulator.Server){
		"webhook": func(t *testing.T, s *simulator.Server) {
			var list []webhook
			if err := json.Unmarshal(direct(t, s, "GET", webhooksPath, "", 200).Body.Bytes(), &list); err != nil {
				t.Fatal(err)
			}
			direct(t, s, "DELETE", webhooksPath+"/"+list[0].ID, "", 200)
			scale(t, s, 3)
		},
		"app":    func(_ *testing.T, s *simulator.Server) { s.RemoveApp("shop") },
		"server": func(t *testing.T, s *simulator.Server) { _ = s.Close(t.Context()) },
	}
	for name, remove := range remove {
		t.Run(name, func(t *testing.T) {
			r := &receiver{answers: func(int) int { return http.StatusBadGateway }}
			subscribed(t, r, "sync", "api:formation", func(t *testing.T, s *simulator.Server) {
				scale(t, s, 1)
				scale(t, s, 2)
				r.all()
				remove(t, s)
				time.Sleep(24 * time.Hour)
				if got := quantities(t, r); !slices.Equal(got, []float64{1}) {
					t.Error(got)
				}
			})
		})
	}
}

func TestCloseEndsAnAttempt(t *testing.T) {
	r := &receiver{answers: func(int) int { return 0 }}
	subscribed(t, r, "sync", "api:formation", func(t *testing.T, s *simulator.Server) {
		start := time.Now()
		scale(t, s, 1)
		r.all()
		if err := s.Close(context.Background()); err != nil || time.Since(start) > 0 {
			t.Errorf("%v after %s", err, time.Since(start))
		}
		if d := s.Deliveries(); len(d) != 1 || d[0].Status != 0 || !strings.Contains(d[0].Error, context.Canceled.Error()) {
			t.Errorf("%+v", d)
		}
		if err := s.Replay(1); !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	})
}

func TestHeldDeliveries(t *testing.T) {
	tests := map[string]struct {
		order []int
		want  []float64
	}{
		"as they came":   {nil, []float64{1, 2, 3, 4}},
		"swapped":        {[]int{1, 0, 2}, []float64{2, 1, 3, 4}},
		"duplicates":     {[]int{0, 1, 1, 2, 0}, []float64{1, 2, 2, 3, 1, 4}},
		"one is lost":    {[]int{0, 2}, []float64{1, 3, 4}},
		"no such number": {[]int{0, 3}, []float64{1, 2, 3, 4}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			r := &receiver{}
			subscribed(t, r, "notify", "api:formation", func(t *testing.T, s *simulator.Server) {
				held, err := s.HoldDeliveries("shop")
				if err != nil {
					t.Fatal(err)
				}
				if _, err := s.HoldDeliveries("shop"); err == nil {
					t.Error("held twice")
				}
				for quantity := range 3 {
					scale(t, s, quantity+1)
				}
				if got := r.all(); len(got) > 0 || held.Len() != 3 {
					t.Errorf("%d delivered, %d held", len(got), held.Len())
				}
				if held.Release(test.order...) != nil {
					if err := held.Release(); err != nil {
						t.Error(err)
					}
				}
				scale(t, s, 4)
				if got := quantities(t, r); !slices.Equal(got, test.want) {
					t.Errorf("%v, want %v", got, test.want)
				}
			})
		})
	}
}

// A duplicate is another attempt of one delivery, a replay is the same attempt again.
func TestDuplicatesAndReplays(t *testing.T) {
	r := &receiver{}
	subscribed(t, r, "notify", "api:formation", func(t *testing.T, s *simulator.Server) {
		held, err := s.HoldDeliveries("shop")
		if err != nil {
			t.Fatal(err)
		}
		scale(t, s, 1)
		if err := held.Release(0, 0); err != nil {
			t.Fatal(err)
		}
		r.all()
		if err := s.Replay(1); err != nil {
			t.Fatal(err)
		}
		if s.Replay(0) == nil || s.Replay(4) == nil {
			t.Error("a replay of nothing")
		}
		all, bodies := r.all(), r.bodies(t)
		first, duplicate := bodies[0].Metadata, bodies[1].Metadata
		if first.Delivery != duplicate.Delivery || first.Event != duplicate.Event || first.Attempt == duplicate.Attempt {
			t.Errorf("%+v, then %+v", first, duplicate)
		}
		const signed = "Heroku-Webhook-Hmac-Sha256"
		if !bytes.Equal(all[0].body, all[2].body) || all[0].header.Get(signed) != all[2].header.Get(signed) {
			t.Errorf("%s\n%s", all[0].body, all[2].body)
		}
		if d := s.Deliveries(); len(d) != 3 || d[2].Attempt != 0 || d[2].ID != d[0].ID || d[2].Status != http.StatusNoContent {
			t.Errorf("%+v", d)
		}
	})
}

// What is held when its webhook goes is not delivered any more.
func TestHeldDeliveriesOfARemovedWebhook(t *testing.T) {
	r := &receiver{}
	subscribed(t, r, "notify", "api:formation", func(t *testing.T, s *simulator.Server) {
		held, err := s.HoldDeliveries("shop")
		if err != nil {
			t.Fatal(err)
		}
		scale(t, s, 1)
		s.RemoveApp("shop")
		if err := held.Release(); err != nil {
			t.Error(err)
		}
		if got := r.all(); len(got) > 0 {
			t.Errorf("%+v", got)
		}
		if _, err := s.HoldDeliveries("shop"); err == nil {
			t.Error("held for no app")
		}
	})
}
