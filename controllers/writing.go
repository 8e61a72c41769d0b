package controllers

import (
	"context"
	"time"

	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/log"

	v1 "github.com/queuescaler/queuescaler/api/v1"
)

const (
	// writeBound bounds one write to the API server: nobody can wake an object while one of it is on its way.
	writeBound = 5 * time.Second
	// longestWriteRest bounds the wait after writes that failed.
	longestWriteRest = time.Minute
)

// writing spaces out an object's writes to the API server that fail. It outlives the reconcile: the workqueue
// forgets its own backoff with every reconcile that does not fail, as those between two writes do not.
type writing struct {
	failures int
	at       time.Time // of the next attempt
}

func (w *writing) failed(now time.Time) {
	w.at = now.Add(jitter(min(longestWriteRest, time.Second<<min(w.failures, 6))))
	w.failures++
}

func (w *writing) succeeded() { *w = writing{} }

// wait is how long to wait before the next attempt; 0 if it may be made now.
func (w *writing) wait(now time.Time) time.Duration { return max(0, w.at.Sub(now)) }

// persist writes the status as it is. What could not be written is kept for the next time.
func (r *Reconciler) persist(ctx context.Context, s *scope) error {
	ctx, cancel := context.WithTimeout(ctx, writeBound)
	defer cancel()
	written := s.object.Status.DeepCopy()
	s.memory.status, s.memory.unwritten = nil, written
	if err := r.Status().Patch(ctx, s.object, client.MergeFrom(s.before)); err != nil {
		s.object.Status = *written.DeepCopy() // whatever came back
		s.memory.writing.failed(r.clock.Now())
		return err
	}
	s.memory.writing.succeeded()
	s.memory.status, s.memory.unwritten, s.memory.version = written, nil, s.object.ResourceVersion
	s.memory.writtenAt = s.now
	s.object.Status = *written.DeepCopy()
	s.before = s.object.DeepCopy()
	return nil
}

// write writes the status, and tells of transitions when it is written.
func (r *Reconciler) write(ctx context.Context, s *scope) ctrl.Result {
	before := s.before
	err := r.persist(ctx, s)
	switch {
	case err == nil:
		r.tellTransitions(s, before)
		return s.again(min(r.next(s), catchUp))
	case client.IgnoreNotFound(err) == nil:
		return ctrl.Result{}
	}
	log.FromContext(ctx).Error(err, "writing a status", "failures", s.memory.writing.failures, "again", s.memory.writing.at)
	return s.reportLater(min(s.memory.writing.wait(s.now), r.next(s)))
}

// ensureFinalizer writes the finalizer, and not again while the cache shows the version before that. It reports
// whether the object has it: a start does not wait for it, and nothing is stopped without it, since an object
// that went without a release would leave its workers off.
func (r *Reconciler) ensureFinalizer(ctx context.Context, s *scope) bool {
	m := s.memory
	if m.finalized == s.object.ResourceVersion || controllerutil.ContainsFinalizer(s.object, v1.Finalizer) {
		return true
	}
	if m.writing.wait(s.now) > 0 {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, writeBound)
	defer cancel()
	object := s.object.DeepCopy()
	controllerutil.AddFinalizer(object, v1.Finalizer)
	err := r.Patch(ctx, object, client.MergeFromWithOptions(s.object, client.MergeFromWithOptimisticLock{}))
	if err != nil {
		m.writing.failed(r.clock.Now())
		log.FromContext(ctx).Error(err, "writing the finalizer", "failures", m.writing.failures, "again", m.writing.at)
		return false
	}
	m.finalized = s.object.ResourceVersion
	return true
}
