package simulator

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/google/uuid"
)

// How long Heroku goes on with a delivery (devcenter.heroku.com/changelog-items/2525), how long it
// pauses at most between attempts, and how long it waits for an answer [?].
const (
	deliveryLife      = 72 * time.Hour
	longestRetryDelay = time.Hour
	deliveryTimeout   = 10 * time.Second
)

// Delivery is the record of one attempt to deliver a notification to a webhook.
type Delivery struct {
	Seq     int       `json:"seq"`  // from 1
	Time    time.Time `json:"time"` // of its end
	App     string    `json:"app"`
	Webhook string    `json:"webhook"`
	ID      string    `json:"id"`    // of the delivery, the same in all its attempts
	Event   string    `json:"event"` // its id, the same for all webhooks
	Include string    `json:"include"`
	Action  string    `json:"action"`
	Attempt int       `json:"attempt"` // from 1; 0 for a replay
	Status  int       `json:"status"`  // 0 where no answer came
	Error   string    `json:"error,omitempty"`
	// Body is what was sent.
	Body json.RawMessage `json:"body"`

	url    string
	header http.Header
}

// delivery is one notification on its way to one webhook.
type delivery struct {
	webhook      *webhook
	notification notification
	created      time.Time
}

func newDelivery(w *webhook, n notification, created time.Time) *delivery {
	n.Metadata.Delivery.ID, n.Metadata.Webhook.ID = uuid.NewString(), w.id
	return &delivery{webhook: w, notification: n, created: created}
}

// enqueue has a delivery made behind those before it, or held back. Server.mu is held.
func (w *webhook) enqueue(d *delivery) {
	s := w.app.server
	if held := w.app.held; held != nil {
		held.deliveries = append(held.deliveries, d)
		s.addHeld()
		return
	}
	w.queue = append(w.queue, d)
	if !w.attending {
		w.attending = true
		s.active.Add(1)
		go w.attend()
	}
}

// attend works the queue off. While one delivery is tried again, those behind it wait: Heroku means
// deliveries to be in order.
func (w *webhook) attend() {
	defer w.app.server.active.Done()
	for d := w.next(); d != nil; d = w.next() {
		d.deliver()
	}
}

func (w *webhook) next() *delivery {
	s := w.app.server
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || w.gone() || len(w.queue) == 0 {
		w.attending = false
		return nil
	}
	d := w.queue[0]
	w.queue = w.queue[1:]
	return d
}

// deliver tries once, and where the level is sync until it succeeds or a further attempt would come too
// late.
func (d *delivery) deliver() {
	s := d.webhook.app.server
	delay := s.options.RetryDelay
	for attempt := 1; ; attempt++ {
		request, again := d.prepare(attempt)
		if s.send(request) || !again || time.Since(d.created)+delay > deliveryLife || !d.webhook.pause(delay) {
			return
		}
		delay = min(2*delay, longestRetryDelay)
	}
}

// prepare makes the request of an attempt, signed for the webhook as it is by now.
func (d *delivery) prepare(attempt int) (request Delivery, again bool) {
	w := d.webhook
	w.app.server.mu.Lock()
	defer w.app.server.mu.Unlock()
	n := d.notification
	n.Metadata.Attempt.ID = uuid.NewString()
	body, err := json.Marshal(n)
	if err != nil {
		panic(err) // own types only
	}
	header := http.Header{}
	header.Set("Content-Type", "application/json")
	header.Set("Heroku-Webhook-Hmac-Sha256", signature(body, w.Secret))
	if w.Authorization != "" {
		header.Set("Authorization", w.Authorization)
	}
	return Delivery{
		App: w.app.Name, Webhook: w.id, ID: n.Metadata.Delivery.ID, Event: n.ID, Include: n.Metadata.Event.Include,
		Action: n.Action, Attempt: attempt, Body: body, url: w.URL, header: header,
	}, w.Level == levelSync
}

func signature(body []byte, secret string) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write(body)
	return base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

// pause waits before another attempt; it says no where the webhook or the server went first.
func (w *webhook) pause(delay time.Duration) bool {
	timer := time.NewTimer(delay)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-w.removed:
		return false
	case <-w.app.server.closing.Done():
		return false
	}
}

// send makes one attempt and records it.
func (s *Server) send(d Delivery) (delivered bool) {
	status, err := s.post(d)
	d.Status = status
	if err != nil {
		d.Error = err.Error()
	}
	s.addDelivery(d)
	return status/100 == 2
}

// post does not follow redirects: they are no success.
func (s *Server) post(d Delivery) (status int, err error) {
	ctx, cancel := context.WithTimeout(s.closing, deliveryTimeout)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, d.url, bytes.NewReader(d.Body))
	if err != nil {
		return 0, err
	}
	r.Header = d.header.Clone()
	response, err := s.options.DeliveryTransport.RoundTrip(r)
	if err != nil {
		return 0, err
	}
	return response.StatusCode, response.Body.Close()
}

// Replay sends an earlier attempt, by its Seq, once more to the last byte, signature and all, as
// somebody could who has seen it. It returns when that is recorded.
func (s *Server) Replay(seq int) error {
	earlier := s.Deliveries()
	if seq < 1 || seq > len(earlier) {
		return fmt.Errorf("simulator: no delivery %d", seq)
	}
	if !s.enter() {
		return http.ErrServerClosed
	}
	defer s.active.Done()
	d := earlier[seq-1]
	d.Attempt, d.Status, d.Error = 0, 0, ""
	s.send(d)
	return nil
}
