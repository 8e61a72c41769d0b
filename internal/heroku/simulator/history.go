package simulator

import (
	"context"
	"slices"
	"sync"
	"time"
)

// Kind is what an Event tells.
type Kind string

// Scaled is a quantity set by a PATCH or by Scale, and told also where nothing changed; Refused is the
// update at which a PartlyApply fault cut a PATCH short. The others are the steps in a dyno's life, in
// their order: Terminated is SIGTERM sent, Killed is SIGKILL sent after the grace, and Crashed follows
// Exited where nobody had told the process to end.
const (
	Scaled     Kind = "scaled"
	Refused    Kind = "refused"
	Requested  Kind = "requested"
	Started    Kind = "started"
	Up         Kind = "up"
	Terminated Kind = "terminated"
	Killed     Kind = "killed"
	Exited     Kind = "exited"
	Crashed    Kind = "crashed"
)

// Event is one entry of the history.
type Event struct {
	Seq  int       `json:"seq"` // from 1
	Time time.Time `json:"time"`
	Kind Kind      `json:"kind"`
	App  string    `json:"app"`
	Type string    `json:"type"`

	Dyno     string `json:"dyno,omitempty"`
	PID      int    `json:"pid,omitempty"`      // 0 for a simulated dyno
	ExitCode int    `json:"exitCode,omitempty"` // 128 + signal for a process that a signal ended

	Account     string `json:"account,omitempty"`
	Method      string `json:"method,omitempty"` // empty for Scale
	Path        string `json:"path,omitempty"`
	RequestID   string `json:"requestID,omitempty"`
	OldQuantity int    `json:"oldQuantity"`
	NewQuantity int    `json:"newQuantity"`
	Size        string `json:"size,omitempty"`
}

// Request is the record of one API request.
type Request struct {
	Time      time.Time `json:"time"` // of its arrival
	Method    string    `json:"method"`
	Path      string    `json:"path"`
	Status    int       `json:"status"` // 0 where no answer went out
	Token     string    `json:"token,omitempty"`
	Account   string    `json:"account,omitempty"`
	RequestID string    `json:"requestID"`
}

// history is what has happened, append-only.
type history struct {
	lock       sync.Mutex
	events     []Event
	requests   []Request
	deliveries []Delivery
	changed    chan struct{}
}

// Events returns all events so far.
func (h *history) Events() []Event {
	h.lock.Lock()
	defer h.lock.Unlock()
	return slices.Clone(h.events)
}

// Requests returns all API requests that have ended so far, in the order in which they ended.
func (h *history) Requests() []Request {
	h.lock.Lock()
	defer h.lock.Unlock()
	return slices.Clone(h.requests)
}

// Deliveries returns all attempts to deliver to webhooks that have ended so far, in the order in which
// they ended.
func (h *history) Deliveries() []Delivery {
	h.lock.Lock()
	defer h.lock.Unlock()
	return slices.Clone(h.deliveries)
}

// Changed returns a channel that is closed at the next event, request or delivery, attempted or held.
func (h *history) Changed() <-chan struct{} {
	h.lock.Lock()
	defer h.lock.Unlock()
	return h.changed
}

// Wait returns nil as soon as done, which is asked now and after all that Changed tells, says yes.
func (h *history) Wait(ctx context.Context, done func() bool) error {
	for {
		changed := h.Changed()
		if done() {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-changed:
		}
	}
}

func (h *history) addEvent(e Event) {
	h.lock.Lock()
	defer h.lock.Unlock()
	e.Seq, e.Time = len(h.events)+1, time.Now()
	h.events = append(h.events, e)
	h.tell()
}

func (h *history) addRequest(r Request) {
	h.lock.Lock()
	defer h.lock.Unlock()
	h.requests = append(h.requests, r)
	h.tell()
}

func (h *history) addDelivery(d Delivery) {
	h.lock.Lock()
	defer h.lock.Unlock()
	d.Seq, d.Time = len(h.deliveries)+1, time.Now()
	h.deliveries = append(h.deliveries, d)
	h.tell()
}

// addHeld tells of a delivery that is not recorded before it leaves.
func (h *history) addHeld() {
	h.lock.Lock()
	defer h.lock.Unlock()
	h.tell()
}

func (h *history) tell() {
	close(h.changed)
	h.changed = make(chan struct{})
}
