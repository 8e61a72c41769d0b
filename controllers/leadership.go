package controllers

import (
	"context"
	"sync"
	"time"

	"k8s.io/client-go/tools/leaderelection/resourcelock"
)

// LeaseMargin is the least time between the end of a leader's renewals and its successor's start. A stop that was
// begun with the lease still held has ended by then: stopDeadline is shorter.
const LeaseMargin = stopDeadline + time.Second

// Leadership is what a replica knows of its lease. While the API server is away the lease runs on: then the
// replica starts workers, for which it needs nothing but Redis and Heroku, and stops none, since a successor
// may have begun and started some.
type Leadership struct {
	patience, deadline time.Duration

	mu      sync.Mutex
	renewed time.Time // before the last renewal that succeeded
}

// renewalsMissed is how many renewals in a row may fail before the lease counts as not held for a stop.
const renewalsMissed = 5

// NewLeadership knows a lease that is renewed every retryPeriod, and lost when that fails for renewDeadline.
func NewLeadership(retryPeriod, renewDeadline time.Duration) *Leadership {
	return &Leadership{patience: min(renewalsMissed*retryPeriod, renewDeadline), deadline: renewDeadline}
}

// Watch returns a lock that tells of its renewals.
func (l *Leadership) Watch(lock resourcelock.Interface) resourcelock.Interface {
	return &watchedLock{Interface: lock, leadership: l}
}

// Fresh reports whether the lease was renewed not long ago. Without leader election it always was.
func (l *Leadership) Fresh() bool { return l == nil || l.renewedWithin(l.patience) }

// Held reports whether the lease is certain to be held for another LeaseMargin.
func (l *Leadership) Held() bool { return l == nil || l.renewedWithin(l.deadline) }

func (l *Leadership) renewedWithin(age time.Duration) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return !l.renewed.IsZero() && time.Since(l.renewed) < age
}

func (l *Leadership) note(renewed time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.renewed = renewed
}

// watchedLock notes when the lease was last taken or renewed by this replica, or let go.
type watchedLock struct {
	resourcelock.Interface
	leadership *Leadership
}

func (w *watchedLock) Create(ctx context.Context, record resourcelock.LeaderElectionRecord) error {
	return w.noting(record, func() error { return w.Interface.Create(ctx, record) })
}

func (w *watchedLock) Update(ctx context.Context, record resourcelock.LeaderElectionRecord) error {
	return w.noting(record, func() error { return w.Interface.Update(ctx, record) })
}

func (w *watchedLock) noting(record resourcelock.LeaderElectionRecord, write func() error) error {
	begun := time.Now()
	if record.HolderIdentity != w.Identity() {
		w.leadership.note(time.Time{}) // the lease is let go
		return write()
	}
	err := write()
	if err == nil {
		w.leadership.note(begun)
	}
	return err
}

// stopRecheck is how soon a stop is looked at again that may not be made yet.
const stopRecheck = 2 * time.Second

// stopPermitted reports whether a stop may be made at all: the object is to be released when it goes, and nobody else
// leads. The stop at the end of a drain is the first half of a start where jobs wait: it needs no more than the lease.
func (r *Reconciler) stopPermitted(ctx context.Context, s *scope) bool {
	leads := r.options.Leadership.Fresh() || (s.jobsAwaitStop() && r.options.Leadership.Held())
	s.stopHeld = !leads || !r.ensureFinalizer(ctx, s)
	return !s.stopHeld
}
