package heroku_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"math"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/queuescaler/queuescaler/internal/heroku"
)

const (
	token  = "HRKU-canary-0123456789"
	appID  = "01234567-89ab-cdef-0123-456789abcdef"
	worker = `{"type":"worker","quantity":2,"size":"standard-1X","app":{"id":"` + appID + `","name":"shop"}}`
)

// serve returns a client of a server that answers with h.
func serve(t *testing.T, h http.HandlerFunc) *heroku.Client {
	t.Helper()
	return serveWith(t, heroku.Options{}, h)
}

func serveWith(t *testing.T, o heroku.Options, h http.HandlerFunc) *heroku.Client {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	o.BaseURL, o.Token = server.URL, token
	c := heroku.NewClient(o)
	t.Cleanup(c.Close)
	return c
}

// answers returns a handler that always gives status and body.
func answers(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		io.WriteString(w, body)
	}
}

// failure asserts that err is an *Error and does not show the token.
func failure(t *testing.T, err error) *heroku.Error {
	t.Helper()
	var e *heroku.Error
	if !errors.As(err, &e) {
		t.Fatalf("error %v is of type %T, want *heroku.Error", err, err)
	}
	for wrapped := err; wrapped != nil; wrapped = errors.Unwrap(wrapped) {
		if text := fmt.Sprintf("%v %+v %#v", wrapped, wrapped, wrapped); strings.Contains(text, token) {
			t.Errorf("the error shows the token: %s", text)
		}
	}
	return e
}

func TestFormation(t *testing.T) {
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet || r.URL.Path != "/apps/shop/formation" {
			t.Errorf("request %s %s", r.Method, r.URL.Path)
		}
		io.WriteString(w, `[{"type":"web","quantity":0,"app":{"id":"`+appID+`"}},`+worker+`]`)
	})
	got, err := c.Formation(t.Context(), "shop", "worker", heroku.ReadOptions{})
	want := heroku.Formation{AppID: appID, AppName: "shop", ProcessType: "worker", Quantity: 2, Size: "standard-1X"}
	if err != nil || got != want {
		t.Errorf("Formation: %+v, %v; want %+v", got, err, want)
	}
}

func TestFormationAtZero(t *testing.T) {
	c := serve(t, answers(200, `[{"type":"worker","quantity":0,"app":{"id":"`+appID+`"}}]`))
	got, err := c.Formation(t.Context(), appID, "worker", heroku.ReadOptions{})
	if err != nil || got.Quantity != 0 {
		t.Errorf("Formation: %+v, %v; want quantity 0", got, err)
	}
}

func TestScaleSendsTheQuantityAndNothingElse(t *testing.T) {
	for _, quantity := range []int{0, 2} {
		t.Run(fmt.Sprint(quantity), func(t *testing.T) {
			c := serve(t, func(w http.ResponseWriter, r *http.Request) {
				if r.Method != http.MethodPatch || r.URL.Path != "/apps/shop/formation/worker" {
					t.Errorf("request %s %s", r.Method, r.URL.Path)
				}
				body, _ := io.ReadAll(r.Body)
				if want := fmt.Sprintf(`{"quantity":%d}`, quantity); string(body) != want {
					t.Errorf("body %s, want %s", body, want)
				}
				io.WriteString(w, worker)
			})
			if _, err := c.Scale(t.Context(), heroku.Scaling{App: "shop", ProcessType: "worker", Quantity: quantity}); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestScaleReturnsWhatHerokuAnswered(t *testing.T) {
	c := serve(t, answers(200, worker))
	got, err := c.Scale(t.Context(), heroku.Scaling{App: "shop", ProcessType: "worker", Quantity: 5})
	if err != nil || got.Quantity != 2 {
		t.Errorf("Scale: %+v, %v; want the answer's quantity 2", got, err)
	}
}

func TestDynos(t *testing.T) {
	c := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Date", "Wed, 01 May 2024 12:00:00 GMT") // no other clock matters
		io.WriteString(w, `[
			{"name":"web.1","type":"web","state":"up"},
			{"name":"worker.1","type":"worker","state":"crashed","created_at":"2024-05-01T10:00:00Z","updated_at":"2024-05-01T11:00:00Z"},
			{"name":"worker.2","type":"worker","state":"up","created_at":"2024-05-01T12:00:02Z"}]`)
	})
	got, err := c.Dynos(t.Context(), "shop", "worker", heroku.Drift)
	want := []heroku.Dyno{
		{"worker.1", "worker", "crashed", 2*time.Hour + time.Second, time.Hour + time.Second},
		{"worker.2", "worker", "up", 0, math.MaxInt64},
	}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("Dynos: %+v, %v; want %+v", got, err, want)
	}
}

func TestHeaders(t *testing.T) {
	c := serveWith(t, heroku.Options{UserAgent: "queuescaler/test"}, func(w http.ResponseWriter, r *http.Request) {
		want := map[string]string{
			"Accept":        "application/vnd.heroku+json; version=3",
			"Authorization": "Bearer " + token,
			"User-Agent":    "queuescaler/test",
			"Range":         "",
		}
		for name, value := range want {
			if got := strings.Join(r.Header.Values(name), "|"); got != value {
				t.Errorf("%s: %q, want %q", name, got, value)
			}
		}
		io.WriteString(w, "["+worker+"]")
	})
	if _, err := c.Formation(t.Context(), "shop", "worker", heroku.ReadOptions{}); err != nil {
		t.Error(err)
	}
}

func TestRefusedBeforeSending(t *testing.T) {
	c := serve(t, func(_ http.ResponseWriter, r *http.Request) { t.Errorf("sent %s %s", r.Method, r.URL) })
	tests := []struct {
		name, app, processType string
		quantity               int
	}{
		{"app leaves the path", "../../account?x=", "worker", 1},
		{"app too short", "ab", "worker", 1},
		{"app too long", strings.Repeat("a", 31), "worker", 1},
		{"app in capitals", "Shop", "worker", 1},
		{"app with a line break", "shop\n", "worker", 1},
		{"nearly a UUID", appID + "0", "worker", 1},
		{"no process type", "shop", "", 1},
		{"process type leaves the path", "shop", "../dynos", 1},
		{"process type too long", "shop", strings.Repeat("w", 129), 1},
		{"release", "shop", "release", 1},
		{"negative", "shop", "worker", -1},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := c.Scale(t.Context(), heroku.Scaling{App: test.app, ProcessType: test.processType, Quantity: test.quantity})
			if e := failure(t, err); e.Kind != heroku.Invalid || !e.OutcomeKnown() {
				t.Errorf("kind %s, outcome known %v", e.Kind, e.OutcomeKnown())
			}
			if test.quantity < 0 {
				return
			}
			_, err = c.Formation(t.Context(), test.app, test.processType, heroku.ReadOptions{})
			failure(t, err)
			_, err = c.Dynos(t.Context(), test.app, test.processType, heroku.Drift)
			failure(t, err)
		})
	}
}

func TestTokenThatNoHeaderCarries(t *testing.T) {
	for _, bad := range []string{"", " \n", "two words", "HRKU-\x00"} {
		c := heroku.NewClient(heroku.Options{Token: bad, BaseURL: "http://127.0.0.1:0"})
		_, err := c.Formation(t.Context(), "shop", "worker", heroku.ReadOptions{})
		if e := failure(t, err); e.Kind != heroku.Unauthorized {
			t.Errorf("token %q: kind %s, want Unauthorized", bad, e.Kind)
		}
	}
}

func TestTokenIsTrimmed(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if got := r.Header.Get("Authorization"); got != "Bearer "+token {
			t.Errorf("Authorization %q", got)
		}
		io.WriteString(w, worker)
	}))
	defer server.Close()
	c := heroku.NewClient(heroku.Options{Token: token + "\n", BaseURL: server.URL + "/"})
	defer c.Close()
	if _, err := c.Scale(t.Context(), heroku.Scaling{App: "shop", ProcessType: "worker", Quantity: 2}); err != nil {
		t.Error(err)
	}
}

func TestObserve(t *testing.T) {
	var seen []string
	observe := func(method string, status int) { seen = append(seen, fmt.Sprint(method, " ", status)) }
	c := serveWith(t, heroku.Options{Observe: observe}, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPatch {
			panic(http.ErrAbortHandler)
		}
		w.WriteHeader(503)
	})
	c.Formation(t.Context(), "shop", "worker", heroku.ReadOptions{})
	c.Scale(t.Context(), heroku.Scaling{App: "shop", ProcessType: "worker", Quantity: 1})
	if want := []string{"GET 503", "PATCH 0"}; !slices.Equal(seen, want) {
		t.Errorf("observed %q, want %q", seen, want)
	}
}

func TestWarningGoesToItsHook(t *testing.T) {
	var logged bytes.Buffer
	defer log.SetOutput(log.Writer())
	log.SetOutput(&logged)

	var warnings []string
	warn := func(msg string) { warnings = append(warnings, msg) }
	c := serveWith(t, heroku.Options{Warn: warn}, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Heroku-Warning", "deprecated for "+r.Header.Get("Authorization"))
		io.WriteString(w, worker)
	})
	if _, err := c.Scale(t.Context(), heroku.Scaling{App: "shop", ProcessType: "worker", Quantity: 2}); err != nil {
		t.Fatal(err)
	}
	if want := []string{"deprecated for Bearer [redacted]"}; !slices.Equal(warnings, want) {
		t.Errorf("warnings %q, want %q", warnings, want)
	}
	if logged.Len() > 0 {
		t.Errorf("standard logger got %q", logged.String())
	}
}

// roundTripper is a transport without a network.
type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestDefaultDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := heroku.NewClient(heroku.Options{Token: token, Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
			<-r.Context().Done()
			return nil, r.Context().Err()
		})})
		start := time.Now()
		_, err := c.Scale(context.Background(), heroku.Scaling{App: "shop", ProcessType: "worker", Quantity: 1})
		if took := time.Since(start); took != 15*time.Second {
			t.Errorf("gave up after %v, want 15s", took)
		}
		if e := failure(t, err); e.Kind != heroku.Unknown || e.OutcomeKnown() || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error %v", err)
		}
	})
}

func TestConcurrentCalls(t *testing.T) {
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Ratelimit-Remaining", "7")
		if r.Method == http.MethodGet {
			io.WriteString(w, "["+worker+"]")
			return
		}
		answers(422, `{"id":"cannot_run_above_limit","message":"no","limit":1}`)(w, r)
	})
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if _, err := c.Formation(t.Context(), "shop", "worker", heroku.ReadOptions{}); err != nil {
				t.Error(err)
			}
			_, err := c.Scale(t.Context(), heroku.Scaling{App: "shop", ProcessType: "worker", Quantity: 9})
			if e, ok := errors.AsType[*heroku.Error](err); !ok || e.Limit != 1 {
				t.Errorf("error %v", err)
			}
		})
	}
	wg.Wait()
}
