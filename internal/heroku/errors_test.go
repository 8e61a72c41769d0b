package heroku_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/queuescaler/queuescaler/internal/heroku"
)

const page = "<!DOCTYPE html><html><body>Application error</body></html>"

func TestAnswersThatAreErrors(t *testing.T) {
	tests := []struct {
		name   string
		status int
		body   string
		kind   heroku.Kind
		id     string
		limit  int
		known  bool
	}{
		{"bad request", 400, `{"id":"bad_request","message":"no"}`, heroku.Invalid, "bad_request", 0, true},
		{"unauthorized", 401, `{"id":"unauthorized","message":"Invalid credentials provided."}`, heroku.Unauthorized, "unauthorized", 0, true},
		{"unauthorized in HTML", 401, page, heroku.Unauthorized, "http_401", 0, true},
		{"delinquent", 402, `{"id":"delinquent","message":"pay"}`, heroku.Forbidden, "delinquent", 0, true},
		{"forbidden", 403, `{"id":"forbidden","message":"no"}`, heroku.Forbidden, "forbidden", 0, true},
		{"suspended", 403, `{"id":"suspended","message":"no"}`, heroku.Forbidden, "suspended", 0, true},
		{"two factor", 403, `{"id":"two_factor","message":"no"}`, heroku.Forbidden, "two_factor", 0, true},
		{"app not found", 404, `{"id":"not_found","message":"Couldn't find that app."}`, heroku.AppNotFound, "not_found", 0, true},
		{"process type not found", 404, `{"id":"not_found","message":"Couldn't find that process type (worker)."}`, heroku.ProcessTypeNotFound, "not_found", 0, true},
		{"request timeout", 408, `{"id":"timeout","message":"no"}`, heroku.Unavailable, "timeout", 0, false},
		{"conflict", 409, `{"id":"conflict","message":"no"}`, heroku.Unavailable, "conflict", 0, true},
		{"locked", 423, `{"id":"locked","message":"no"}`, heroku.Unavailable, "locked", 0, true},
		{"too early", 425, `{"id":"early","message":"no"}`, heroku.Unavailable, "early", 0, true},
		{"sizes do not mix", 422, `{"id":"invalid_params","message":"Cannot use the following dyno types in the same app: Basic and Standard-1X"}`, heroku.Invalid, "invalid_params", 0, true},
		{"update above limit", 422, `{"id":"cannot_update_above_limit","message":"no","limit":10}`, heroku.AboveLimit, "cannot_update_above_limit", 10, true},
		{"run above limit", 422, `{"id":"cannot_run_above_limit","message":"no","limit":"1"}`, heroku.AboveLimit, "cannot_run_above_limit", 1, true},
		{"above a limit not told", 422, `{"id":"cannot_run_above_limit","message":"no","limit":null}`, heroku.AboveLimit, "cannot_run_above_limit", 0, true},
		{"rate limited", 429, `{"id":"rate_limit","message":"wait"}`, heroku.RateLimited, "rate_limit", 0, true},
		{"unavailable", 503, `{"id":"unavailable","message":"soon"}`, heroku.Unavailable, "unavailable", 0, false},
		{"503 in HTML", 503, page, heroku.Unavailable, "http_503", 0, false},
		{"502 in HTML", 502, page, heroku.Unavailable, "http_502", 0, false},
		{"500 without a body", 500, "", heroku.Unavailable, "http_500", 0, false},
		{"error that is a list", 500, `["x"]`, heroku.Unavailable, "http_500", 0, false},
		{"error with a number for a message", 500, `{"id":"x","message":1}`, heroku.Unavailable, "x", 0, false},
		{"error cut off", 422, `{"id":"cannot_upd`, heroku.Invalid, "http_422", 0, true},
		{"error without end", 503, `{"id":"x","message":"` + strings.Repeat("x", 1<<20) + `"}`, heroku.Unavailable, "http_503", 0, false},
		{"status without a name", 599, "", heroku.Unavailable, "http_599", 0, false},
		{"304", 304, "", heroku.Unknown, "http_304", 0, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c := serve(t, func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Request-Id", "theirs,ours")
				answers(test.status, test.body)(w, r)
			})
			_, err := c.Scale(t.Context(), heroku.Scaling{App: "shop", ProcessType: "worker", Quantity: 3})
			e := failure(t, err)
			if e.Kind != test.kind || e.Status != test.status || e.ID != test.id || e.Limit != test.limit {
				t.Errorf("got %+v, want kind %s, id %s, limit %d", e, test.kind, test.id, test.limit)
			}
			if e.OutcomeKnown() != test.known {
				t.Errorf("OutcomeKnown %v, want %v", e.OutcomeKnown(), test.known)
			}
			if e.RequestID != "theirs,ours" || e.Message == "" || strings.Contains(e.Message, "<") {
				t.Errorf("request id %q, message %q", e.RequestID, e.Message)
			}
		})
	}
}

func TestErrorText(t *testing.T) {
	c := serve(t, answers(429, `{"id":"rate_limit","message":"Your account reached the API rate limit"}`))
	_, err := c.Formation(t.Context(), "shop", "worker", heroku.ReadOptions{})
	if want := "heroku: 429 rate_limit: Your account reached the API rate limit"; err == nil || err.Error() != want {
		t.Errorf("text %q, want %q", err, want)
	}
}

func TestNonsensicalFormations(t *testing.T) {
	app := `"app":{"id":"` + appID + `"}`
	bodies := map[string]string{
		"empty":                "",
		"truncated":            worker[:20],
		"HTML":                 page,
		"null":                 `null`,
		"empty object":         `{}`,
		"another process type": `{"type":"web","quantity":2,` + app + `}`,
		"no process type":      `{"quantity":2,` + app + `}`,
		"no quantity":          `{"type":"worker",` + app + `}`,
		"null quantity":        `{"type":"worker","quantity":null,` + app + `}`,
		"negative quantity":    `{"type":"worker","quantity":-1,` + app + `}`,
		"quantity in words":    `{"type":"worker","quantity":"2",` + app + `}`,
		"no app":               `{"type":"worker","quantity":2}`,
		"token in a date":      `{"type":"worker","quantity":2,"created_at":"` + token + `",` + app + `}`,
	}
	for name, body := range bodies {
		t.Run(name, func(t *testing.T) {
			c := serve(t, answers(200, body))
			got, err := c.Scale(t.Context(), heroku.Scaling{App: "shop", ProcessType: "worker", Quantity: 2})
			if e := failure(t, err); e.Kind != heroku.Unknown || e.Status != 200 || e.OutcomeKnown() {
				t.Errorf("Scale: %+v, %+v", got, e)
			}
		})
	}
}

func TestNonsensicalLists(t *testing.T) {
	bodies := map[string]string{
		"empty":           "",
		"truncated":       "[" + worker,
		"null":            "null",
		"object":          worker,
		"no process type": `[{"quantity":2,"state":"up"}]`,
		"endless":         "[" + worker + "]" + strings.Repeat(" ", 10<<20),
	}
	for name, body := range bodies {
		t.Run(name, func(t *testing.T) {
			c := serve(t, answers(200, body))
			_, err := c.Formation(t.Context(), "shop", "worker", heroku.ReadOptions{})
			if e := failure(t, err); e.Kind != heroku.Unknown {
				t.Errorf("Formation: %v is of kind %s", e, e.Kind)
			}
			_, err = c.Dynos(t.Context(), "shop", "worker", heroku.Drift)
			if e := failure(t, err); e.Kind != heroku.Unknown {
				t.Errorf("Dynos: %v is of kind %s", e, e.Kind)
			}
		})
	}
}

func TestProcessTypeNotInTheList(t *testing.T) {
	for _, body := range []string{"[]", `[{"type":"web","quantity":1}]`} {
		c := serve(t, answers(200, body))
		_, err := c.Formation(t.Context(), "shop", "worker", heroku.ReadOptions{})
		if e := failure(t, err); e.Kind != heroku.ProcessTypeNotFound || e.Error() != "heroku: the app shop has no process type worker" {
			t.Errorf("error %v of kind %s", e, e.Kind)
		}
	}
}

func TestRedirectsAreNotFollowed(t *testing.T) {
	elsewhere := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		t.Errorf("followed with Authorization %q", r.Header.Get("Authorization"))
	}))
	defer elsewhere.Close()
	for _, status := range []int{301, 302, 303, 307, 308} {
		// heroku-go takes a JSON body for an error of its own form.
		for _, body := range []string{"", `{"id":"moved","message":"elsewhere"}`} {
			t.Run(fmt.Sprint(status, body), func(t *testing.T) {
				c := serve(t, func(w http.ResponseWriter, r *http.Request) {
					w.Header().Set("Location", elsewhere.URL)
					answers(status, body)(w, r)
				})
				_, err := c.Scale(t.Context(), heroku.Scaling{App: "shop", ProcessType: "worker", Quantity: 1})
				if e := failure(t, err); e.Kind != heroku.Unknown || e.Status != status || e.OutcomeKnown() {
					t.Errorf("got %+v", e)
				}
			})
		}
	}
}

func TestTokenEchoedByTheServer(t *testing.T) {
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		answers(401, `{"id":"unauthorized","message":"unknown: `+r.Header.Get("Authorization")+`"}`)(w, r)
	})
	_, err := c.Formation(t.Context(), "shop", "worker", heroku.ReadOptions{})
	if e := failure(t, err); e.Message != "unknown: Bearer [redacted]" {
		t.Errorf("message %q", e.Message)
	}
}

func TestRetryAfter(t *testing.T) {
	now := time.Now()
	values := map[string]string{
		"seconds": "90",
		"date":    now.Add(90 * time.Second).UTC().Format(http.TimeFormat),
		"epoch":   fmt.Sprint(now.Add(90 * time.Second).Unix()),
	}
	for name, value := range values {
		t.Run(name, func(t *testing.T) {
			c := serve(t, func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Retry-After", value)
				answers(429, `{"id":"rate_limit","message":"wait"}`)(w, r)
			})
			_, err := c.Formation(t.Context(), "shop", "worker", heroku.ReadOptions{})
			if e := failure(t, err); e.RetryAfter < time.Minute || e.RetryAfter > 90*time.Second {
				t.Errorf("RetryAfter %v, want about 90s", e.RetryAfter)
			}
		})
	}
}

func TestDeadline(t *testing.T) {
	handlers := map[string]http.HandlerFunc{
		"no answer": func(_ http.ResponseWriter, r *http.Request) {
			io.Copy(io.Discard, r.Body) // lets the server notice that the client is gone
			<-r.Context().Done()
		},
		"half an answer": func(w http.ResponseWriter, r *http.Request) {
			io.Copy(io.Discard, r.Body)
			io.WriteString(w, worker[:20])
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		},
	}
	for name, h := range handlers {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := serve(t, h)
			ctx, cancel := context.WithTimeout(t.Context(), 250*time.Millisecond)
			defer cancel()
			_, err := c.Scale(ctx, heroku.Scaling{App: "shop", ProcessType: "worker", Quantity: 1})
			e := failure(t, err)
			if e.Kind != heroku.Unknown || e.OutcomeKnown() || !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("error %v of kind %s, outcome known %v", e, e.Kind, e.OutcomeKnown())
			}
			if e.RequestID == "" {
				t.Error("the request id that was sent is not told")
			}
		})
	}
}

func TestCancelledBeforeSending(t *testing.T) {
	c := serve(t, func(http.ResponseWriter, *http.Request) { t.Error("sent") })
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := c.Scale(ctx, heroku.Scaling{App: "shop", ProcessType: "worker", Quantity: 1})
	if e := failure(t, err); e.Kind != heroku.Unknown || !e.OutcomeKnown() || !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, outcome known %v", e, e.OutcomeKnown())
	}
}

func TestCancelledAfterSending(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	c := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		cancel()
		<-r.Context().Done()
	})
	_, err := c.Scale(ctx, heroku.Scaling{App: "shop", ProcessType: "worker", Quantity: 1})
	if e := failure(t, err); e.Kind != heroku.Unknown || e.OutcomeKnown() || !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, outcome known %v", e, e.OutcomeKnown())
	}
}

func TestNobodyListens(t *testing.T) {
	server := httptest.NewServer(nil)
	server.Close()
	c := heroku.NewClient(heroku.Options{BaseURL: server.URL, Token: token})
	_, err := c.Scale(t.Context(), heroku.Scaling{App: "shop", ProcessType: "worker", Quantity: 1})
	if e := failure(t, err); e.Kind != heroku.Unknown || !e.OutcomeKnown() || strings.Contains(e.Message, "127.0.0.1") {
		t.Errorf("error %v, outcome known %v", e, e.OutcomeKnown())
	}
}

// A connection that breaks after it was used before is where net/http may send
// a request again.
func TestPatchIsSentOnce(t *testing.T) {
	breaks := map[string]func(*net.TCPConn){
		"closed": func(*net.TCPConn) {},
		"reset":  func(conn *net.TCPConn) { conn.SetLinger(0) },
	}
	for name, prepare := range breaks {
		t.Run(name, func(t *testing.T) {
			var patches atomic.Int32
			c := serve(t, func(w http.ResponseWriter, r *http.Request) {
				if r.Method == http.MethodGet {
					io.WriteString(w, "["+worker+"]")
					return
				}
				patches.Add(1)
				io.Copy(io.Discard, r.Body)
				conn, _, err := w.(http.Hijacker).Hijack()
				if err != nil {
					t.Error(err)
					return
				}
				prepare(conn.(*net.TCPConn))
				conn.Close()
			})
			if _, err := c.Formation(t.Context(), "shop", "worker", heroku.ReadOptions{}); err != nil {
				t.Fatal(err)
			}
			_, err := c.Scale(t.Context(), heroku.Scaling{App: "shop", ProcessType: "worker", Quantity: 1})
			if e := failure(t, err); e.Kind != heroku.Unknown || e.OutcomeKnown() {
				t.Errorf("error %v of kind %s, outcome known %v", e, e.Kind, e.OutcomeKnown())
			}
			if n := patches.Load(); n != 1 {
				t.Errorf("%d PATCHes, want 1", n)
			}
		})
	}
}

func TestPatchCannotBeReplayed(t *testing.T) {
	c := heroku.NewClient(heroku.Options{Token: token, Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
		if r.GetBody != nil {
			t.Error("the transport could send the body again")
		}
		return nil, io.ErrUnexpectedEOF
	})})
	_, err := c.Scale(t.Context(), heroku.Scaling{App: "shop", ProcessType: "worker", Quantity: 1})
	failure(t, err)
}

func TestZeroErrorIsCautious(t *testing.T) {
	if (&heroku.Error{}).OutcomeKnown() {
		t.Error("an error without a kind claims to know the outcome")
	}
}
