package simulator_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/queuescaler/queuescaler/internal/heroku/simulator"
)

const (
	owner  = "owner@example.com"
	secret = "HRKU-owner"
	accept = "application/vnd.heroku+json; version=3"
)

// shop is the app most tests use: one web dyno, no worker.
func shop(worker simulator.Process) simulator.App {
	worker.Type = "worker"
	return simulator.App{
		Name:       "shop",
		ConfigVars: map[string]string{"REDIS_URL": "redis://example"},
		BootTime:   time.Millisecond,
		Formation:  []simulator.Process{{Type: "web", Quantity: 1}, worker},
	}
}

// platform is a started Server with a token of every scope, closed when the test ends.
func platform(t *testing.T, o simulator.Options, apps ...simulator.App) *simulator.Server {
	t.Helper()
	s := simulator.New(o)
	addTokens(s)
	for _, a := range apps {
		if err := s.AddApp(a); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Start(""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return s
}

func addTokens(s *simulator.Server) {
	s.AddToken(simulator.Token{Secret: secret, Account: owner})
	for _, scope := range []string{"identity", "read", "write", "read-protected", "write-protected"} {
		s.AddToken(simulator.Token{Secret: "HRKU-" + scope, Name: scope, Account: owner, Scopes: []string{scope}})
	}
}

// reply is an answer read whole.
type reply struct {
	status int
	header http.Header
	body   []byte
}

func (r reply) decode(t *testing.T, v any) {
	t.Helper()
	if err := json.Unmarshal(r.body, v); err != nil {
		t.Fatalf("%s: %v", r.body, err)
	}
}

// apiError is an error body.
type apiError struct {
	ID, Message, URL string
	Limit            int
}

func (r reply) apiError(t *testing.T) (e apiError) {
	t.Helper()
	r.decode(t, &e)
	return e
}

// headers are set over the usual ones; an empty value removes one.
type headers map[string]string

func newRequest(t *testing.T, url, method, path, body string, h headers) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Accept", accept)
	r.Header.Set("Authorization", "Bearer "+secret)
	for name, value := range h {
		r.Header.Set(name, value)
		if value == "" {
			r.Header.Del(name)
		}
	}
	return r
}

// try sends one request on a connection of its own, so that Go's transport never repeats it.
func try(t *testing.T, s *simulator.Server, method, path, body string, h headers) (reply, error) {
	t.Helper()
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Do(newRequest(t, s.URL(), method, path, body, h))
	if err != nil {
		return reply{}, err
	}
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	return reply{response.StatusCode, response.Header, content}, err
}

func do(t *testing.T, s *simulator.Server, method, path, body string, h headers) reply {
	t.Helper()
	r, err := try(t, s, method, path, body, h)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	return r
}

func get(t *testing.T, s *simulator.Server, path string) reply {
	t.Helper()
	return do(t, s, http.MethodGet, path, "", nil)
}

// await waits for a state of the Server, as long as the test may run.
func await(t *testing.T, s *simulator.Server, done func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := s.Wait(ctx, done); err != nil {
		t.Fatalf("%v; events: %+v", err, s.Events())
	}
}

func awaitEvents(t *testing.T, s *simulator.Server, kind simulator.Kind, n int) []simulator.Event {
	t.Helper()
	await(t, s, func() bool { return len(ofKind(s, kind)) >= n })
	return ofKind(s, kind)
}

// ofKind picks the events of the process type worker.
func ofKind(s *simulator.Server, kind simulator.Kind) (events []simulator.Event) {
	for _, e := range s.Events() {
		if e.Kind == kind && e.Type == "worker" {
			events = append(events, e)
		}
	}
	return events
}

// lines takes what dynos print and lets tests wait for a line.
type lines struct {
	mu      sync.Mutex
	buffer  bytes.Buffer
	changed chan struct{}
}

func newLines() *lines { return &lines{changed: make(chan struct{})} }

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	close(l.changed)
	l.changed = make(chan struct{})
	return l.buffer.Write(p)
}

func (l *lines) await(t *testing.T, text string, times int) string {
	t.Helper()
	timeout := time.After(time.Minute)
	for {
		l.mu.Lock()
		all, changed := l.buffer.String(), l.changed
		l.mu.Unlock()
		if strings.Count(all, text) >= times {
			return all
		}
		select {
		case <-changed:
		case <-timeout:
			t.Fatalf("%q not printed %d times in:\n%s", text, times, all)
		}
	}
}
