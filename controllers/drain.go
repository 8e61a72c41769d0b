package controllers

import (
	"context"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/types"
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
	q := s.memory.quieting
	timeout := time.Duration(s.object.Spec.Drain.TimeoutSeconds) * time.Second
	return &scaling.Drain{Free: q.proven && s.workersFree(), Deadline: q.deadline(s.now, timeout)}
}

// jobsWait reports whether there are jobs that no worker has taken.
func (s *scope) jobsWait() bool {
	work := s.work()
	return work != nil && work.Wanted(s.now)
}

// jobsAwaitStop reports whether jobs wait for the end of a drain: then the stop is a part of their start.
func (s *scope) jobsAwaitStop() bool { return s.draining() && s.jobsWait() }

// watchQuiet follows the workers that take no more jobs: those of a drain, and those that somebody else quieted.
func (s *scope) watchQuiet() {
	m := s.memory
	if s.work() == nil {
		return
	}
	if !s.draining() {
		m.strandedSince = since(m.strandedSince, s.now, s.stranded())
		return
	}
	m.quieting = m.quieting.found(s.now, s.heardQuiet(m.quieting.foundAt)).awaited(s.now, s.jobsWait())
	if m.quieting.disproven(s.now) {
		s.endDrain()
	}
}

// since is since when something is so, which was so since before, and is so or not at now.
func since(before, now time.Time, so bool) time.Time {
	switch {
	case !so:
		return time.Time{}
	case before.IsZero():
		return now
	}
	return before
}

// stranded reports whether jobs wait and all workers of the formation take no more.
func (s *scope) stranded() bool {
	m := s.memory
	return m.quantity != nil && *m.quantity > 0 && !s.suspended() && s.jobsWait() && s.allQuiet() && s.mayDrain() == ""
}

// takeUpDrain makes a drain of workers that take no more jobs while jobs wait, whoever told them: it ends with
// fresh ones.
func (r *Reconciler) takeUpDrain(ctx context.Context, s *scope) {
	m := s.memory
	if m.strandedSince.IsZero() || s.now.Sub(m.strandedSince) < strandPatience {
		return
	}
	if !r.mark(ctx, s, quieting{proven: true, wantedSince: m.strandedSince}) {
		return
	}
	m.strandedSince = time.Time{}
	r.tell(s, warning, v1.ReasonDraining, "Restart", "jobs wait, and all workers were told to take no more: they are stopped when they are free, and started afresh")
	s.decide()
}

// mark writes down that workers may be quiet. It reports whether that succeeded.
func (r *Reconciler) mark(ctx context.Context, s *scope, q quieting) bool {
	start := timestamp(s.now)
	s.object.Status.DrainStartTime, s.memory.quieting = &start, q
	s.object.Status.Target = s.memory.target.DeepCopy() // whose workers they are
	if err := r.persist(ctx, s); err != nil {
		log.FromContext(ctx).Error(err, "writing down that a drain begins")
		s.endDrain()
		return false
	}
	return true
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
	if !r.mark(ctx, s, quieting{proven: true}) {
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
// those whose signal was lost. On doubt whose workers they are nobody is told. A Redis that does not answer is left to
// the Hub: whoever waited for its answer here would keep a worker of the controller from other tenants' wakes.
func (r *Reconciler) drainOn(ctx context.Context, s *scope) {
	if s.memory.hub == nil || s.memory.quantity == nil || s.queueProblem != nil || !r.lookAgain(ctx, s) {
		return
	}
	if s.memory.drainProblem = nil; !s.draining() || !s.memory.quieting.proven || !s.untold() {
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
		told, ok := m.quieting.told[worker.Identity]
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
	if m.quieting.told == nil {
		m.quieting.told = map[string]time.Time{}
	}
	for _, identity := range identities {
		m.quieting.told[identity] = s.now
	}
	return nil
}

// endDrain notes that no worker is quiet any more, or was told to be.
func (s *scope) endDrain() {
	s.object.Status.DrainStartTime, s.memory.quieting = nil, quieting{}
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

// inheritDrain takes the mark of a drain over with the target, from the object that had the target.
func (r *Reconciler) inheritDrain(ctx context.Context, s *scope, from types.NamespacedName) {
	var rival v1.QueueScaler
	if err := r.Get(ctx, from, &rival); err == nil && rival.Status.DrainStartTime != nil && !s.draining() {
		s.object.Status.DrainStartTime = rival.Status.DrainStartTime.DeepCopy()
	}
}

// leavesDrain reports whether a drain goes on at a target that the spec names no more.
func (s *scope) leavesDrain() bool {
	old := s.object.Status.Target
	return s.draining() && old != nil && !isOf(old, s.object.Spec.Heroku)
}

// drainsAt reports whether the drain that goes on is one of a target: it is that of the target that the object has.
func (s *scope) drainsAt(target *v1.Target) bool {
	of := s.leaves()
	return s.draining() && of != nil && keyOf(of) == keyOf(target)
}

// watchedType is the process type whose workers are watched: that of a drain until the drain has ended.
func (s *scope) watchedType() string {
	if s.leavesDrain() {
		return s.object.Status.Target.ProcessType
	}
	return s.object.Spec.Heroku.ProcessType
}

// restart ends a drain of a target that is being left, which must not stay quiet: it stops the dynos
// and starts as many again. A worker that still has a job is waited for, for a while.
func (r *Reconciler) restart(ctx context.Context, s *scope, client *heroku.Client, target *v1.Target) *problem {
	r.observeQueue(ctx, s)
	if s.awaitsFree() {
		return &problemBusy
	}
	formation, err := client.Formation(ctx, target.AppID, target.ProcessType, heroku.ReadOptions{})
	if err == nil && formation.Quantity > 0 {
		looked := s.memory.hub != nil && s.look(ctx) == nil
		if s.awaitsFree() || !r.options.Leadership.Fresh() {
			return &problemBusy
		}
		err = s.stopLeft(ctx, client, target, looked)
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

var problemBusy = problem{reason: v1.ReasonDraining, message: "a worker that was told to take no more jobs may still have one"}

// awaitsFree reports whether a worker of a target that is left may have a job, and has time to finish the job.
func (s *scope) awaitsFree() bool {
	free := s.workersFree()
	if s.leavesDrain() { // the quantity and the list of dynos are those of the new target
		free = s.heardFree() && len(s.snapshot.Silent) == 0
	}
	return !free && s.now.Sub(s.memory.releasingSince) < leavingPatience
}

// stopLeft stops the dynos of a target that is left, right after the look at its queue if there was one, and finishes
// that although the operator may end.
func (s *scope) stopLeft(ctx context.Context, client *heroku.Client, target *v1.Target, looked bool) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopDeadline)
	defer cancel()
	change := s.scaling(target, 0)
	change.Priority = heroku.Wake // quiet workers would leave jobs waiting
	if looked {
		change.SendBy = s.snapshot.End.Add(lookAge)
	}
	_, err := client.Scale(ctx, change)
	return err
}
