package controllers

import (
	"context"
	"errors"
	"fmt"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/log"

	v1 "github.com/queuescaler/queuescaler/api/v1"
	"github.com/queuescaler/queuescaler/internal/heroku"
	"github.com/queuescaler/queuescaler/internal/scaling"
)

const (
	// stopDeadline bounds the PATCH that stops workers. It is shorter than what lies between the
	// end of a leader's lease renewals (10 s) and its successor's start (15 s).
	stopDeadline = 4 * time.Second
	// startDeadline bounds a PATCH that starts workers.
	startDeadline = 10 * time.Second
	// readBound bounds the reads of the queue around a stop.
	readBound = 10 * time.Second
	// limitMemory is how long a quantity that Heroku refused is not tried again.
	limitMemory = time.Hour
)

// apply makes the formation what was decided: a stop first, since what it finds may want a start.
func (r *Reconciler) apply(ctx context.Context, s *scope) {
	if s.formationProblem != nil && !s.mayStart() {
		return
	}
	if s.draining() {
		r.drainOn(ctx, s)
	}
	if s.wantsStop() {
		r.stop(ctx, s)
	}
	if s.wantsStart() && s.mayStart() {
		r.start(ctx, s)
	}
}

// mayStart reports whether a start may be tried, whatever became of other calls.
func (s *scope) mayStart() bool {
	m := s.memory
	return m.target != nil && !s.now.Before(m.retries.wakeAt) && (s.formationProblem == nil || s.formationProblem == m.retries.last)
}

func (s *scope) wantsStop() bool {
	desired, quantity := s.decision.Desired, s.memory.quantity
	return desired != nil && quantity != nil && *desired < *quantity && !s.memory.uncertain && s.formationProblem == nil && !s.leavesDrift()
}

// wantsStart says whether the PATCH of a start has to go out: more dynos are wanted than are known
// of, or the queue has just become active, and nothing vouches that they are there.
func (s *scope) wantsStart() bool {
	desired, quantity := s.decision.Desired, s.memory.quantity
	switch {
	case desired == nil || !s.decision.Reason.Active() || s.leavesDrift():
		return false
	case quantity == nil || *desired > *quantity:
		return true
	}
	return !s.memory.confirmed && (s.memory.uncertain || !s.vouched(*desired))
}

// vouchPeriod is how long Heroku's answer to a PATCH vouches for the quantity, like a heartbeat. A queue
// into which jobs trickle would else spend the rate budget, a request for each of them.
const vouchPeriod = 30 * time.Second

// vouched says whether the workers were heard, or started, not long ago.
func (s *scope) vouched(quantity int) bool {
	return s.snapshot.Live() >= quantity || s.now.Before(s.memory.vouchedUntil)
}

// stop stops the workers if a last look at the queue still allows it, and looks again straight
// after: a job that came in between is served at once. Nothing else of the app may be on its way then,
// which the PATCH would wait for after the look.
func (r *Reconciler) stop(ctx context.Context, s *scope) {
	if !r.takeTurn(s) || !r.awaitApp(ctx, s) || !r.lookAgain(ctx, s) || !s.wantsStop() {
		return
	}
	if s.mustDrain() {
		r.beginDrain(ctx, s)
		return
	}
	drained := s.draining()
	r.scale(ctx, s, stopDeadline)
	if s.formationProblem != nil {
		return
	}
	if drained {
		// Written down before a start, which would else look like the formation of the drain.
		if err := r.persist(ctx, s); err != nil {
			log.FromContext(ctx).Error(err, "writing down that a drain has ended")
		}
	}
	r.lookAgain(ctx, s)
}

// awaitApp says whether a stop can go out now.
func (r *Reconciler) awaitApp(ctx context.Context, s *scope) bool {
	ctx, cancel := context.WithTimeout(ctx, stopDeadline)
	defer cancel()
	err := s.memory.client.AwaitTurn(ctx, s.memory.target.AppID)
	if err != nil {
		s.scaleFailed(err, heroku.Sleep)
	}
	return err == nil
}

// lookAgain reads the queue and decides anew. It says whether the read succeeded.
func (r *Reconciler) lookAgain(ctx context.Context, s *scope) bool {
	ctx, cancel := context.WithTimeout(ctx, readBound)
	defer cancel()
	snapshot, err := s.memory.hub.Observe(ctx, s.id())
	if err != nil {
		s.queueProblem = &problem{reason: v1.ReasonRedisUnreachable, message: "Redis did not answer in time"}
	} else {
		s.takeSnapshot(snapshot)
	}
	s.decide()
	return err == nil
}

// start starts workers. A quantity above Heroku's limit is tried once more at the limit.
func (r *Reconciler) start(ctx context.Context, s *scope) {
	s.formationProblem = nil
	r.scale(ctx, s, startDeadline)
	if s.formationProblem != nil && s.formationProblem.reason == v1.ReasonQuantityLimited && s.memory.limit > 0 {
		s.formationProblem = nil
		s.memory.retries.scaled() // the limit is remembered: it holds up nothing else
		s.decide()
		if s.wantsStart() {
			r.scale(ctx, s, startDeadline)
		}
	}
}

// scale sends the decided quantity and takes in what Heroku answers.
func (r *Reconciler) scale(ctx context.Context, s *scope, deadline time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, deadline)
	defer cancel()
	m, wanted, reason := s.memory, *s.decision.Desired, s.decision.Reason
	before := m.before(wanted)
	change := s.scaling(m.target, wanted)
	r.wakeups.served(s.name)
	change.AtOnce = wanted > 0 && !r.wakeups.more()
	formation, err := m.client.Scale(ctx, change)
	s.elapse()
	if err != nil {
		s.scaleFailed(err, change.Priority)
		return
	}
	m.know(formation, s.now)
	m.vouchedUntil = s.now.Add(vouchPeriod)
	m.drift.corrected(s.now)
	r.planDrift(s)
	s.noteScaling(wanted)
	switch {
	case formation.Quantity == 0:
		m.startedAt = time.Time{}
		s.noteStopped()
	case before == 0:
		s.woke = true
		s.noteStart()
		s.endDrain()
	}
	if formation.Quantity == wanted {
		m.retries.scaled()
	} else {
		s.formationProblem = &problem{reason: v1.ReasonHerokuRefused, message: fmt.Sprintf(
			"Heroku was asked for %d dynos and answered %d", wanted, formation.Quantity)}
		m.retries.scalings++
		m.retries.failed(s.formationProblem, s.now)
		m.retries.startFailed(s.formationProblem, s.now)
	}
	r.tellScaled(ctx, s, reason, before, formation.Quantity)
}

// scaling is the change of a target to a quantity.
func (s *scope) scaling(target *v1.Target, quantity int) heroku.Scaling {
	scaling := heroku.Scaling{
		App: target.AppID, ProcessType: target.ProcessType, Quantity: quantity,
		Priority: heroku.Wake, Alone: s.draining(),
	}
	switch {
	case quantity == 0:
		scaling.Priority = heroku.Sleep
	case s.memory.quantity != nil && *s.memory.quantity == 0 && !s.memory.uncertain:
		scaling.Size = s.object.Spec.Heroku.DynoSize
	}
	return scaling
}

// tellScaled logs a change of the quantity and makes an event of it. The reason is the event's
// action, since repeated events of one action are counted under the first one's note.
func (r *Reconciler) tellScaled(ctx context.Context, s *scope, reason scaling.Reason, before, after int) {
	if before == after {
		return
	}
	target := s.memory.target
	log.FromContext(ctx).Info("scaled", "app", target.AppName, "processType", target.ProcessType,
		"from", before, "to", after, "reason", reason)
	r.tell(s, normal, scaleReason(after), string(reason),
		fmt.Sprintf("scaled %s from %d to %d: %s", target.ProcessType, before, after, phrases[reason]))
}

// scaleFailed takes in a refusal, or an answer that did not come: then the quantity is not known.
func (s *scope) scaleFailed(err error, p heroku.Priority) {
	m := s.memory
	m.retries.scalings++
	s.failed(err)
	if p == heroku.Wake {
		m.retries.startFailed(s.formationProblem, s.now)
	}
	known, ok := errors.AsType[*heroku.Error](err)
	switch {
	case !ok || !known.OutcomeKnown():
		m.doubt()
	case known.Kind == heroku.AppNotFound:
		m.gone()
	case known.Kind == heroku.AboveLimit:
		m.limit, m.limitUntil, m.remembered = known.Limit, s.now.Add(limitMemory), nil
		s.formationProblem.message = fmt.Sprintf("Heroku refused %d dynos, its limit is %d (%s): set spec.activeQuantity to at most that, or have the limit raised",
			s.object.Spec.ActiveQuantity, known.Limit, known.Message)
	}
}

// noteScaling writes the times of the last start and change.
func (s *scope) noteScaling(wanted int) {
	now := timestamp(s.now)
	s.object.Status.LastScaleTime = &now
	if wanted > 0 {
		s.object.Status.LastWakeTime = &now
	}
}
