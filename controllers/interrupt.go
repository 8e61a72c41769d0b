package controllers

import (
	"context"
	"sync"

	"k8s.io/apimachinery/pkg/types"
)

// interrupts end the calls of an object that its jobs need not wait for, when its jobs come: a read in
// search of drift that Heroku does not answer would else hold up the start for as long as it may take.
type interrupts struct {
	mu   sync.Mutex
	ends map[types.NamespacedName]context.CancelFunc
}

func newInterrupts() *interrupts {
	return &interrupts{ends: map[types.NamespacedName]context.CancelFunc{}}
}

// begin returns the context of such calls, for the time of one reconcile. It begins before the reconcile
// looks at the queue, so that each job is either seen then or ends them.
func (i *interrupts) begin(ctx context.Context, name types.NamespacedName) (patient context.Context, end func()) {
	patient, cancel := context.WithCancel(ctx)
	i.mu.Lock()
	defer i.mu.Unlock()
	i.ends[name] = cancel
	return patient, func() {
		i.mu.Lock()
		delete(i.ends, name)
		i.mu.Unlock()
		cancel()
	}
}

// end ends the calls of an object.
func (i *interrupts) end(name types.NamespacedName) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if end := i.ends[name]; end != nil {
		end()
	}
}

// unhurried is the context of calls that no job need wait for.
func (s *scope) unhurried(ctx context.Context) context.Context {
	if s.patient != nil && !s.decision.Reason.Active() {
		return s.patient
	}
	return ctx
}

// interrupted reports whether a job came for which no call was waited for any more: the object is
// reconciled again at once.
func (s *scope) interrupted() bool {
	return s.patient != nil && s.patient.Err() != nil && !s.decision.Reason.Active()
}
