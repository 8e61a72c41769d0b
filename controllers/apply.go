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
	// stopDeadline bounds the PATCH that stops workers. It is shorter than what lies between the end of a
	// leader's lease renewals and its successor's start: see LeaseMargin, which the flags must leave.
	stopDeadline = 4 * time.Second
	// lookAge is how old the last look at the queue may be when a stop is sent: about as long as a look takes.
	lookAge = 500 * time.Millisecond
	// stopTries is how often a stop that could not be sent in time is looked at anew before it has to wait.
	stopTries = 3
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
	} else {
		r.takeUpDrain(ctx, s)
	}
	r.callRoll(ctx, s)
	if s.wantsStop() && r.confirmURL(ctx, s) {
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

// wantsStop reports whether the PATCH of a stop has to go out. A stop that jobs wait for, at the end of a drain,
// is sent even where the quantity is in doubt, as a start is.
func (s *scope) wantsStop() bool {
	desired, quantity := s.decision.Desired, s.memory.quantity
	if desired == nil || quantity == nil || *desired >= *quantity || s.leavesDrift() {
		return false
	}
	return s.jobsAwaitStop() || (!s.memory.uncertain && s.formationProblem == nil)
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

// vouched says whether the workers were heard, or started, not long ago. Nothing vouches for workers while Heroku
// may yet carry out a stop.
func (s *scope) vouched(quantity int) bool {
	return !s.memory.lost.open() && (s.snapshot.Live() >= quantity || s.now.Before(s.memory.vouchedUntil))
}

// stop stops the workers if a last look at the queue still allows it, and looks again straight
// after: a job that came in between is served at once.
func (r *Reconciler) stop(ctx context.Context, s *scope) {
	if !r.sendStop(ctx, s) {
		return
	}
	if s.formationProblem != nil {
		r.tellLost(ctx, s)
		return
	}
	r.lookAgain(ctx, s)
}

// sendStop looks at the queue and sends the PATCH right after: a PATCH that had to wait, for another one of the
// app or for a connection, is looked at anew. It reports whether a PATCH went out.
func (r *Reconciler) sendStop(ctx context.Context, s *scope) (sent bool) {
	if !r.stopPermitted(ctx, s) {
		return false
	}
	var late *heroku.Error
	for range stopTries {
		if !r.mayStop(ctx, s) {
			return false
		}
		if s.mustDrain() {
			r.beginDrain(ctx, s)
			return false
		}
		if late = r.finishStop(ctx, s); late == nil {
			return true
		}
	}
	s.scaleFailed(late, heroku.Sleep)
	return false
}

// finishStop sends the PATCH of a stop, and finishes that although the operator may end: its lease is let go after
// that. The end of a drain is written down before a start, which would else look like the formation of the drain.
func (r *Reconciler) finishStop(ctx context.Context, s *scope) (late *heroku.Error) {
	ctx, cancel := finishing(ctx)
	defer cancel()
	drained := s.draining()
	s.formationProblem = nil
	if late = r.scale(ctx, s, stopDeadline); late != nil || !drained || s.formationProblem != nil {
		return late
	}
	if err := r.persist(ctx, s); err != nil {
		log.FromContext(ctx).Error(err, "writing down that a drain has ended")
	}
	return nil
}

// mayStop reports whether a stop can go out now, and a last look at the queue allows it.
func (r *Reconciler) mayStop(ctx context.Context, s *scope) bool {
	if !s.jobsAwaitStop() && !r.takeTurn(s) {
		return false
	}
	return r.awaitApp(ctx, s) && r.lookAgain(ctx, s) && s.wantsStop() && r.stopPermitted(ctx, s)
}

// finishing is a context for what must be finished although the operator ends.
func finishing(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), 2*stopDeadline)
}

// tellLost writes down that the quantity is not known, if nobody else will: the next operator must not take a
// read for the truth while Heroku may yet carry out the stop.
func (r *Reconciler) tellLost(ctx context.Context, s *scope) {
	if ctx.Err() == nil || !s.memory.uncertain {
		return
	}
	ctx, cancel := finishing(ctx)
	defer cancel()
	s.writeStatus()
	if err := r.persist(ctx, s); err != nil {
		log.FromContext(ctx).Error(err, "writing down that the answer to a stop was lost")
	}
}

// awaitApp reports whether no other change of the app is on its way, which a stop would wait for after its look.
func (r *Reconciler) awaitApp(ctx context.Context, s *scope) bool {
	ctx, cancel := context.WithTimeout(ctx, stopDeadline)
	defer cancel()
	err := s.memory.client.AwaitTurn(ctx, s.memory.target.AppID)
	if err != nil {
		s.scaleFailed(err, heroku.Sleep)
	}
	return err == nil
}

// lookAgain reads the queue and decides anew. It reports whether the read succeeded.
func (r *Reconciler) lookAgain(ctx context.Context, s *scope) bool {
	err := s.look(ctx)
	s.decide()
	return err == nil
}

// look reads the queue now.
func (s *scope) look(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readBound)
	defer cancel()
	snapshot, err := s.memory.hub.Observe(ctx, s.id())
	if err != nil {
		s.queueProblem = &problem{reason: v1.ReasonRedisUnreachable, message: "Redis did not answer in time"}
		return err
	}
	s.takeSnapshot(snapshot)
	return nil
}

// start starts workers. A quantity above Heroku's limit is tried once more at the limit.
func (r *Reconciler) start(ctx context.Context, s *scope) {
	s.formationProblem = nil
	_ = r.scale(ctx, s, startDeadline)
	if s.formationProblem != nil && s.formationProblem.reason == v1.ReasonQuantityLimited && s.memory.limit > 0 {
		s.formationProblem = nil
		s.memory.retries.scaled() // the limit is remembered: it holds up nothing else
		s.decide()
		if s.wantsStart() {
			_ = r.scale(ctx, s, startDeadline)
		}
	}
}

// scale sends the decided quantity and takes in what Heroku answers. It returns an error only for a stop that
// could not be sent soon enough after the last look.
func (r *Reconciler) scale(ctx context.Context, s *scope, deadline time.Duration) (late *heroku.Error) {
	ctx, cancel := context.WithTimeout(ctx, deadline)
	defer cancel()
	m, wanted, reason := s.memory, *s.decision.Desired, s.decision.Reason
	before := m.before(wanted)
	change := s.scaling(m.target, wanted)
	if wanted < before {
		change.SendBy = s.snapshot.End.Add(lookAge)
	}
	r.wakeups.served(s.name)
	change.AtOnce = wanted > 0 && !r.wakeups.more()
	formation, err := m.client.Scale(ctx, change)
	s.elapse()
	if known, ok := errors.AsType[*heroku.Error](err); ok && known.Kind == heroku.Late {
		return known
	}
	if err != nil {
		s.scaleFailed(err, change.Priority)
		return nil
	}
	m.know(formation, s.now)
	m.adopter = m.client
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
	return nil
}

// scaling is the change of a target to a quantity.
func (s *scope) scaling(target *v1.Target, quantity int) heroku.Scaling {
	scaling := heroku.Scaling{
		App: target.AppID, ProcessType: target.ProcessType, Quantity: quantity,
		Priority: heroku.Wake, Alone: s.draining(),
	}
	switch {
	case quantity == 0 && !s.jobsAwaitStop():
		scaling.Priority = heroku.Sleep
	case quantity == 0:
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
	if !s.ofHeroku(err).held {
		m.retries.scalings++
	}
	s.failed(err)
	if p == heroku.Wake {
		m.retries.startFailed(s.formationProblem, s.now)
	}
	known, ok := errors.AsType[*heroku.Error](err)
	switch {
	case !ok || !known.OutcomeKnown():
		if desired := s.decision.Desired; desired != nil && *desired < m.before(*desired) {
			m.lost = lostStop{at: s.now}
		}
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
