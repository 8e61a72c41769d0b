package controllers

import (
	"context"
	"slices"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/log"

	v1 "github.com/queuescaler/queuescaler/api/v1"
	"github.com/queuescaler/queuescaler/internal/heroku"
	"github.com/queuescaler/queuescaler/internal/queue"
	"github.com/queuescaler/queuescaler/internal/scaling"
)

const (
	// signalPatience is how long a process may take to say that it is quiet, before it is told again:
	// two heartbeats, and some more.
	signalPatience = 30 * time.Second
	// leavingPatience is how long a deletion waits for workers of a drain that are not free.
	leavingPatience = 20 * time.Second
	// signalRest is how long Redis is not asked again to tell workers after it refused that.
	signalRest = 5 * time.Minute
)

// draining says whether workers may have been told to take no more jobs, and were not stopped since.
func (s *scope) draining() bool { return s.object.Status.DrainStartTime != nil }

// drain is the drain that is going on; nil for none.
func (s *scope) drain() *scaling.Drain {
	if !s.draining() {
		return nil
	}
	timeout := time.Duration(s.object.Spec.Drain.TimeoutSeconds) * time.Second
	return &scaling.Drain{Free: s.workersFree(), Deadline: s.object.Status.DrainStartTime.Add(timeout)}
}

// mustDrain says whether workers are to be told before they are stopped.
func (s *scope) mustDrain() bool {
	return s.object.Spec.Drain.Mode == v1.DrainQuiet && !s.draining() && s.snapshot.Live() > 0
}

// beginDrain tells the workers to take no more jobs. That a drain began is written down before, so
// that whoever comes after a crash ends it.
func (r *Reconciler) beginDrain(ctx context.Context, s *scope) {
	m, why := s.memory, s.mayDrain()
	if why == "" && s.now.Before(m.signalAgainAt) {
		why = m.signalRefusal
	}
	if why != "" {
		s.refuseDrain(why)
		return
	}
	m.drainProblem = nil
	start := timestamp(s.now)
	s.object.Status.DrainStartTime = &start
	if err := r.persist(ctx, s); err != nil {
		log.FromContext(ctx).Error(err, "writing down that a drain begins")
		s.endDrain()
		return
	}
	if err := r.quiet(ctx, s); err != nil && err.Kind == queue.Unauthorized {
		s.endDrain() // nothing was written
		m.signalRefusal, m.signalAgainAt = err.Message, s.now.Add(signalRest)
		s.refuseDrain(err.Message)
		return
	}
	r.tell(s, normal, v1.ReasonDraining, string(s.decision.Reason), "the queue was idle; the workers take no more jobs, and are stopped when they are free")
	s.decide()
}

func (s *scope) refuseDrain(why string) {
	s.memory.drainProblem = &problem{reason: v1.ReasonDrainRefused, message: "the workers are not stopped: " + why, class: settled}
}

// drainOn looks how far the drain has come, and tells workers that do not know of it: new ones, and
// those whose signal was lost. On doubt whose workers they are nobody is told.
func (r *Reconciler) drainOn(ctx context.Context, s *scope) {
	if s.memory.hub == nil || s.memory.quantity == nil || !r.lookAgain(ctx, s) {
		return
	}
	if s.memory.drainProblem = nil; !s.untold() {
		return
	}
	if why := s.mayDrain(); why != "" {
		s.refuseDrain(why)
		return
	}
	if err := r.quiet(ctx, s); err != nil {
		s.queueProblem = ofQueue(err)
	}
}

// untold reports whether some worker of the formation is heard that is not quiet.
func (s *scope) untold() bool {
	return slices.ContainsFunc(s.formationWorkers(), func(p queue.Process) bool { return p.Fresh() && !p.Quiet })
}

// quiet tells the workers that are not quiet, and were not told lately, to take no more jobs.
func (r *Reconciler) quiet(ctx context.Context, s *scope) *queue.Error {
	m := s.memory
	var identities []string
	for _, worker := range s.formationWorkers() {
		told, ok := m.quieted[worker.Identity]
		if !worker.Quiet && worker.Fresh() && (!ok || s.now.Sub(told) >= signalPatience) {
			identities = append(identities, worker.Identity)
		}
	}
	if len(identities) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, readBound)
	defer cancel()
	if err := m.hub.Quiet(ctx, s.id(), identities); err != nil {
		return err
	}
	if m.quieted == nil {
		m.quieted = map[string]time.Time{}
	}
	for _, identity := range identities {
		m.quieted[identity] = s.now
	}
	return nil
}

// endDrain notes that no worker is quiet any more, or was told to be.
func (s *scope) endDrain() {
	s.object.Status.DrainStartTime, s.memory.quieted = nil, nil
}

// noteStopped ends the drain when the dynos are known to be stopped, unless others must take their
// place first, since scaling was suspended meanwhile.
func (s *scope) noteStopped() {
	m, drained := s.memory, s.object.Status.Target
	if drained != nil && keyOf(drained) != keyOf(m.target) {
		return // the dynos are another target's, which has yet to be taken over
	}
	if s.draining() && m.quantity != nil && *m.quantity == 0 && !s.suspended() {
		s.endDrain()
	}
}

// restart ends a drain of a target that is being left, which must not stay quiet: it stops the dynos
// and starts as many again. A worker that still has a job is waited for, for a while.
func (r *Reconciler) restart(ctx context.Context, s *scope, target *v1.Target) *problem {
	r.observeQueue(ctx, s)
	if !s.workersFree() && s.now.Sub(s.memory.releasingSince) < leavingPatience {
		return &problem{reason: v1.ReasonDraining, message: "a worker that was told to take no more jobs still has one"}
	}
	client := s.memory.client
	formation, err := client.Formation(ctx, target.AppID, target.ProcessType, heroku.ReadOptions{})
	if err == nil && formation.Quantity > 0 {
		_, err = client.Scale(ctx, s.scaling(target, 0))
	}
	if err == nil {
		_, err = client.Scale(ctx, s.scaling(target, max(formation.Quantity, s.activeQuantity())))
	}
	if err != nil && !isGone(err) {
		return s.ofHeroku(err)
	}
	s.endDrain()
	return nil
}
