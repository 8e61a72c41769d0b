package main

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"path"
	"slices"
	"sync"
	"time"

	"github.com/queuescaler/queuescaler/internal/heroku/simulator"
)

// recorder notes what Heroku is asked for. Process types have different names, whatever their app.
type recorder struct {
	mu       sync.Mutex
	expected map[string]chan time.Time
	// started is when a PATCH to more than zero first came for a process type, since the reset; stopped
	// is when one to zero last came.
	started, stopped map[string]time.Time
	lastAnswer       time.Time // to a PATCH
	gets, requests   int
}

func newRecorder() *recorder {
	r := &recorder{expected: map[string]chan time.Time{}, stopped: map[string]time.Time{}}
	r.reset()
	return r
}

// reset forgets what was counted.
func (r *recorder) reset() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.started, r.lastAnswer, r.gets, r.requests = map[string]time.Time{}, time.Time{}, 0, 0
}

// expect returns a channel that gets the time at which the next start of a process type arrives.
func (r *recorder) expect(processType string) <-chan time.Time {
	arrival := make(chan time.Time, 1)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.expected[processType] = arrival
	return arrival
}

// arrived is the simulator's hook. It takes the time before all else.
func (r *recorder) arrived(request *http.Request) {
	now := time.Now()
	var asked []change
	if request.Method == http.MethodPatch {
		asked = changesIn(request)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.requests++
	if len(asked) == 0 {
		r.gets++
	}
	for _, change := range asked {
		r.note(change, now)
	}
}

func (r *recorder) note(change change, now time.Time) {
	if *change.Quantity == 0 {
		r.stopped[change.Type] = now
		return
	}
	if r.started[change.Type].IsZero() {
		r.started[change.Type] = now
	}
	if arrival, ok := r.expected[change.Type]; ok {
		delete(r.expected, change.Type)
		arrival <- now
	}
}

// change is what a PATCH asks for.
type change struct {
	Type     string
	Quantity *int
}

// changesIn reads the body, which is for one process type or several, and puts it back.
func changesIn(request *http.Request) []change {
	body, _ := io.ReadAll(request.Body) // what is cut short does not parse
	request.Body = io.NopCloser(bytes.NewReader(body))
	asked := struct {
		change
		Updates []change
	}{change: change{Type: path.Base(request.URL.Path)}}
	if json.Unmarshal(body, &asked) != nil {
		return nil
	}
	return slices.DeleteFunc(append(asked.Updates, asked.change), func(c change) bool { return c.Quantity == nil })
}

// answered is the simulator's hook.
func (r *recorder) answered(request simulator.Request) {
	if request.Method != http.MethodPatch {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lastAnswer = time.Now()
}

func (r *recorder) reads() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.gets
}

func (r *recorder) total() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.requests
}

// awake is how many process types were started since the reset.
func (r *recorder) awake() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.started)
}

// starts are the times from a moment until each start since the reset arrived, and until the last
// answer to a PATCH.
func (r *recorder) starts(since time.Time) (arrived distribution, answered time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, at := range r.started {
		arrived = append(arrived, at.Sub(since))
	}
	return arrived, r.lastAnswer.Sub(since)
}

// restsSince says whether a process type was last stopped before a moment, or never.
func (r *recorder) restsSince(processType string, before time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.stopped[processType].Before(before)
}
