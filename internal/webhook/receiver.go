// Package webhook receives Heroku's webhooks about formations, dynos and releases. See
// https://devcenter.heroku.com/articles/app-webhooks.
//
// An event is a hint to read again, and never the truth about a quantity: deliveries are repeated
// for up to 72 hours, come in any order, and are lost where nobody listens. Since whoever is told
// reads Heroku itself, an event that is told twice or too late costs a request and does no harm; the
// periodic read finds what no event told. So nothing is written to disk, a delivery is acknowledged
// before it is told, and what is remembered of the past is bounded.
//
// What is provably old is dropped all the same. Only data.updated_at says that, compared per
// resource: sequence and published_at may be null. It has whole seconds, so that of two deliveries
// with the same time neither is the older one; both are told, but each only once.
package webhook

import (
	"errors"
	"io"
	"net/http"
	"sync"
	"time"
)

const (
	// maxBody bounds a delivery, in bytes. Heroku's are one or two thousand.
	maxBody = 1 << 20
	// window is how long events of one process type are gathered to be told as one.
	window = 100 * time.Millisecond
)

// Outcome is what became of a delivery.
type Outcome string

const (
	// Told is an event that was handed on, or gathered into one that is.
	Told Outcome = "Told"
	// Outdated is an event older than one told before, or a repeated delivery.
	Outdated Outcome = "Outdated"
	// Ignored is a delivery of another kind, or one that cannot be understood.
	Ignored Outcome = "Ignored"
	// Refused is a request without a valid signature, or with a body that is too long or broken.
	Refused Outcome = "Refused"
)

// Options configures a [Receiver].
type Options struct {
	// Secrets are those that a delivery may be signed with: one, or the old and the new one while
	// the webhooks are changed over. Empty ones are left out; without any, all is refused.
	Secrets []string
	// Tell is handed the events. It is called by one goroutine at a time, at most every 100 ms for
	// one process type's events of one kind. While it does not return, nothing else is told.
	Tell func(Event)
	// Observe, if set, is told what became of each delivery.
	Observe func(Outcome)
}

// Receiver is the handler that Heroku posts to, at any path. It answers
//
//	204  to every signed delivery, also one of a kind that it does not know: an error would only
//	     make Heroku repeat it, and hold back those that follow
//	400  to a body that breaks off
//	401  without a valid Heroku-Webhook-Hmac-SHA256, the base64 of HMAC-SHA256(body, secret)
//	405  to methods other than POST
//	413  to a body above 1 MiB
//
// and never with a body. It logs nothing. How long a client may take is the http.Server's to say.
type Receiver struct {
	signed  verifier
	tell    func(Event)
	observe func(Outcome)

	telling chan struct{} // of one place, taken while an event is told, and before mu
	mu      sync.Mutex
	seen    memory
	pending map[group]Event
}

// group is what is told at most once per window. A person who scales two process types at once
// causes two events, neither of which stands for the other.
type group struct {
	kind        Kind
	appID       string
	processType string
}

// New returns a Receiver.
func New(o Options) *Receiver {
	r := &Receiver{
		signed:  newVerifier(o.Secrets),
		tell:    o.Tell,
		observe: o.Observe,
		telling: make(chan struct{}, 1),
		pending: map[group]Event{},
	}
	if r.observe == nil {
		r.observe = func(Outcome) {}
	}
	return r
}

// ServeHTTP takes one delivery.
func (r *Receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	if req.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		w.WriteHeader(http.StatusMethodNotAllowed)
		return
	}
	body, status := r.read(w, req)
	if status != http.StatusOK {
		r.observe(Refused)
		w.WriteHeader(status)
		return
	}
	r.observe(r.take(body))
	w.WriteHeader(http.StatusNoContent)
}

// read returns the body if it is signed, else the status to refuse it with.
func (r *Receiver) read(w http.ResponseWriter, req *http.Request) ([]byte, int) {
	signature := req.Header.Get(signatureHeader)
	if signature == "" { // before anything is read for a stranger
		return nil, http.StatusUnauthorized
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, req.Body, maxBody))
	var tooLong *http.MaxBytesError
	switch {
	case errors.As(err, &tooLong):
		return nil, http.StatusRequestEntityTooLarge
	case err != nil:
		return nil, http.StatusBadRequest
	case !r.signed(body, signature):
		return nil, http.StatusUnauthorized
	default:
		return body, http.StatusOK
	}
}

// take tells the event of a signed body in due time.
func (r *Receiver) take(body []byte) Outcome {
	d, ok := parse(body)
	if !ok {
		return Ignored
	}
	// One lock for both, so that no newer event of the resource is told between them.
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.seen.news(d) {
		return Outdated
	}
	r.gather(d.event)
	return Told
}

// gather keeps one event of a group until its window ends. The caller holds the lock.
func (r *Receiver) gather(e Event) {
	g := group{e.Kind, e.AppID, e.ProcessType}
	if waiting, ok := r.pending[g]; ok {
		e = newer(waiting, e)
	} else {
		time.AfterFunc(window, func() { r.flush(g) })
	}
	r.pending[g] = e
}

// newer returns what stands for both events, a being the one that came first. Where it is not known
// which of the two is the newer one, the quantity is not either.
func newer(a, b Event) Event {
	switch {
	case a.UpdatedAt.IsZero() || b.UpdatedAt.IsZero():
		b.UpdatedAt, b.Quantity = time.Time{}, nil
	case b.UpdatedAt.Before(a.UpdatedAt):
		return a
	case b.UpdatedAt.Equal(a.UpdatedAt) && !equal(a.Quantity, b.Quantity):
		b.Quantity = nil
	}
	return b
}

func equal(a, b *int) bool { return a != nil && b != nil && *a == *b }

// flush tells what was gathered. Choosing an event and telling it are one step, or two flushes of a
// group could tell theirs in the wrong order.
func (r *Receiver) flush(g group) {
	r.telling <- struct{}{}
	defer func() { <-r.telling }()
	r.mu.Lock()
	e := r.pending[g]
	delete(r.pending, g)
	r.mu.Unlock()
	r.tell(e)
}
