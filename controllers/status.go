package controllers

import (
	"context"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"

	v1 "github.com/queuescaler/queuescaler/api/v1"
	"github.com/queuescaler/queuescaler/internal/scaling"
)

const (
	// countsPeriod is the shortest time between two writes that only bring newer counts.
	countsPeriod = time.Minute
	// stampsPeriod is the same for writes that only bring a newer time of the same quantity.
	stampsPeriod = time.Hour
	// calmPeriod is the shortest time between a write and one that only tells that work came or went
	// while nothing was scaled: that can be many times a second.
	calmPeriod = 10 * time.Second
	// catchUp is when the cache should have what was written: then the copy of it can go.
	catchUp = 5 * time.Second
)

// report writes the status, tells of transitions and says when to look again. It is the only
// writer of status.
func (r *Reconciler) report(ctx context.Context, s *scope) ctrl.Result {
	r.readAccount(ctx, s)
	s.writeStatus()
	s.reckon()
	s.writeConditions()
	s.measure()
	if !s.worthWriting() {
		s.memory.unwritten = nil
		return s.again(r.next(s))
	}
	if wait := s.memory.writing.wait(s.now); wait > 0 {
		return s.reportLater(min(wait, r.next(s)))
	}
	if !r.options.Leadership.Fresh() { // an API server that takes no lease takes no status
		return s.reportLater(min(stopRecheck, r.next(s)))
	}
	if wait, ok := r.mayWrite(s); !ok {
		return s.reportLater(min(wait, r.next(s)))
	}
	return r.write(ctx, s)
}

// mayWrite says whether the status may be written now, or how long to wait before asking again. One that only
// tells of work that comes and goes is written when nothing else is to be done.
func (r *Reconciler) mayWrite(s *scope) (wait time.Duration, ok bool) {
	switch {
	case s.hasTurn || s.urgent():
		ok = r.takeTurn(s)
		return s.memory.turnAt.Sub(s.now), ok
	case s.now.Before(s.memory.writtenAt.Add(calmPeriod)):
		return s.memory.writtenAt.Add(calmPeriod).Sub(s.now), false
	}
	s.hasTurn = r.turns.spare(s.now)
	return calmPeriod, s.hasTurn
}

func (s *scope) writeStatus() {
	status, m := &s.object.Status, s.memory
	status.ObservedGeneration = s.object.Generation
	if m.target != nil && (s.formationProblem == nil || s.formationProblem == m.retries.last) {
		status.Target = m.target
	}
	if s.conflicting() {
		status.Target = nil
	}
	status.DesiredQuantity = nil
	if !s.conflicting() {
		status.DesiredQuantity = toInt32(s.decision.Desired)
	}
	status.Quantity = nil
	if m.quantity != nil && !m.uncertain {
		status.Quantity = toInt32(m.quantity)
		status.QuantityObservedTime = ptr.To(timestamp(m.readAt))
	}
	status.QuantityLimit = nil
	if m.limit > 0 {
		status.QuantityLimit = toInt32(&m.limit)
	}
	status.EffectiveIdleTimeoutSeconds = s.idleSeconds()
	status.IdleStartTime = nil
	if work := s.work(); work != nil && !work.IdleSince.IsZero() && !s.decision.Reason.Active() {
		status.IdleStartTime = ptr.To(timestamp(work.IdleSince))
	}
	if s.snapshot.Known() {
		status.Queue = s.queueStatus()
	}
	s.noteSeen()
}

func (s *scope) queueStatus() *v1.QueueStatus {
	status := &v1.QueueStatus{
		Depth: s.snapshot.Depth, InFlight: s.snapshot.InFlight, Orphans: s.snapshot.Orphans, ObservedTime: timestamp(s.snapshot.End),
	}
	if !s.snapshot.NextDue.IsZero() {
		status.NextDueTime = ptr.To(timestamp(s.snapshot.NextDue))
	}
	return status
}

func (s *scope) conflicting() bool {
	return s.formationProblem != nil && s.formationProblem.reason == v1.ReasonTargetConflict
}

// worthWriting says whether the status says something new, beyond counts and times that were
// written not long ago.
func (s *scope) worthWriting() bool {
	old, now := s.before.Status, s.object.Status
	if equality.Semantic.DeepEqual(old, now) {
		return false
	}
	period := stampsPeriod
	if s.decision.Reason != scaling.Asleep {
		period = countsPeriod
	}
	if (old.Queue == nil) != (now.Queue == nil) || (old.Savings == nil) != (now.Savings == nil) {
		return true
	}
	if now.Savings != nil && now.Savings.ObservedTime.Sub(old.Savings.ObservedTime.Time) >= stampsPeriod {
		return true
	}
	if now.Queue != nil && now.Queue.ObservedTime.Sub(old.Queue.ObservedTime.Time) >= period {
		return true
	}
	now.Queue, now.QuantityObservedTime, now.Savings = old.Queue, old.QuantityObservedTime, old.Savings
	if s.decision.Reason == scaling.Asleep && old.IdleStartTime != nil {
		now.IdleStartTime = old.IdleStartTime // an operator that has just started knows no better
	}
	return !equality.Semantic.DeepEqual(old, now)
}

// urgent says whether the status tells more than that work came or went.
func (s *scope) urgent() bool {
	old, now := s.before.Status, s.object.Status
	for _, status := range []*v1.QueueScalerStatus{&old, &now} {
		meta.RemoveStatusCondition(&status.Conditions, v1.ConditionActive)
		status.IdleStartTime, status.Queue, status.KnownQueues = nil, nil, nil
		status.QuantityObservedTime, status.Savings = nil, nil
	}
	return !equality.Semantic.DeepEqual(old, now)
}

// next is when to look again if nothing is heard before.
func (r *Reconciler) next(s *scope) time.Duration {
	m, next := s.memory, s.decision.Recheck
	at := []time.Time{m.nextDrift, m.turnAt, m.writing.at, s.nextURLRead(), m.lost.due(), m.standstill.readDue(m.readAt)}
	if m.retries.failures > 0 {
		at = append(at, m.retries.restAt)
	}
	if s.awaited() {
		at = append(at, m.retries.wakeAt, m.retries.lookAt)
	}
	if !m.unservedSince.IsZero() {
		at = append(at, m.unservedSince.Add(blindPatience), m.readAt.Add(blindPatience))
	}
	if !m.strandedSince.IsZero() {
		at = append(at, m.strandedSince.Add(strandPatience))
	}
	if !m.releasingSince.IsZero() {
		at = append(at, s.now.Add(time.Second))
	}
	if s.stopHeld {
		at = append(at, s.now.Add(stopRecheck))
	}
	if m.drift.foreign {
		at = append(at, m.drift.truceUntil)
	}
	if s.decision.Reason.Active() && !m.confirmed {
		at = append(at, m.vouchedUntil)
	}
	if s.heldByAbsence() {
		at = append(at, m.roll.nextAt(s.absent(), s.snapshot.IdleSince))
	}
	for _, t := range at {
		if t.After(s.now) {
			next = min(next, t.Sub(s.now))
		}
	}
	if s.decision.Reason != scaling.Asleep || s.worst() != nil {
		next = min(next, countsPeriod) // newer counts, or patience that ends
	}
	return next
}

func (s *scope) writeConditions() {
	s.set(v1.ConditionQueueReachable, s.queueCondition())
	s.set(v1.ConditionFormationSynced, s.formationCondition())
	s.set(v1.ConditionActive, s.activeCondition())
	s.set(v1.ConditionWorkersHealthy, s.workersCondition())
	p := s.worst()
	s.set(v1.ConditionReady, s.readyCondition(p))
	stalled := s.stalled(p)
	s.setAbnormal(v1.ConditionStalled, p, stalled)
	s.setAbnormal(v1.ConditionReconciling, p, p != nil && !stalled)
}

// condition is what differs between conditions.
type condition struct {
	status          metav1.ConditionStatus
	reason, message string
}

func yes(reason, format string, args ...any) condition {
	return condition{metav1.ConditionTrue, reason, fmt.Sprintf(format, args...)}
}

func no(reason, format string, args ...any) condition {
	return condition{metav1.ConditionFalse, reason, fmt.Sprintf(format, args...)}
}

func unknown(reason, format string, args ...any) condition {
	return condition{metav1.ConditionUnknown, reason, fmt.Sprintf(format, args...)}
}

func (s *scope) set(conditionType string, c condition) {
	meta.SetStatusCondition(&s.object.Status.Conditions, metav1.Condition{
		Type: conditionType, Status: c.status, Reason: c.reason, Message: shortened(c.message),
		ObservedGeneration: s.object.Generation, LastTransitionTime: timestamp(s.now),
	})
}

// setAbnormal keeps a condition that is only there while it is true.
func (s *scope) setAbnormal(conditionType string, p *problem, present bool) {
	if present {
		s.set(conditionType, yes(p.reason, "%s", p.message))
	} else {
		meta.RemoveStatusCondition(&s.object.Status.Conditions, conditionType)
	}
}

// worst is the problem that keeps the object from being ready, or nil.
func (s *scope) worst() *problem {
	if p := firstOf(s.specProblem, s.formationProblem, s.queueProblem, s.leavingProblem); p != nil {
		return p
	}
	switch {
	case s.contest() != nil:
		return s.contest()
	case s.memory.drainProblem != nil:
		return s.memory.drainProblem
	case len(s.snapshot.Absent) > 0:
		return s.absence()
	case s.snapshot.Doubt != "":
		return &problem{reason: v1.ReasonQueueDataUnreadable, message: s.snapshot.Doubt, class: settled}
	case !s.snapshot.Known():
		return &problem{reason: v1.ReasonUnknown, message: "the queue has not been read yet"}
	case s.memory.uncertain:
		return &problem{reason: v1.ReasonScaling, message: "Heroku's answer was lost; the formation is read again"}
	case s.activeQuantity() < int(s.object.Spec.ActiveQuantity):
		return &problem{reason: v1.ReasonQuantityLimited, class: settled, message: fmt.Sprintf(
			"Heroku allows at most %d dynos here: set spec.activeQuantity to at most that, or have the limit raised", s.memory.limit)}
	}
	return nil
}

// stalled says whether somebody has to do something about a problem.
func (s *scope) stalled(p *problem) bool {
	if p == nil {
		s.memory.problem = ""
		return false
	}
	if s.memory.problem != p.reason {
		s.memory.problem, s.memory.problemSince = p.reason, s.now
	}
	return p.class == settled || (p.class == missing && s.now.Sub(s.memory.problemSince) >= missingPatience)
}

func (s *scope) readyCondition(p *problem) condition {
	switch {
	case p != nil:
		return no(p.reason, "%s", p.message)
	case s.decision.Reason == scaling.Suspended:
		return yes(v1.ReasonSuspended, "scaling is suspended; the quantity is left alone")
	}
	return yes(v1.ReasonReady, "the queue and the formation are known and agree")
}

func (s *scope) queueCondition() condition {
	switch {
	case s.queueProblem != nil:
		return no(s.queueProblem.reason, "%s", s.queueProblem.message)
	case !s.snapshot.Known():
		return unknown(v1.ReasonUnknown, "the queue has not been read yet")
	case len(s.snapshot.Absent) > 0:
		return no(v1.ReasonQueueNotFound, "%s", s.absence().message)
	case s.snapshot.Doubt != "":
		return no(v1.ReasonQueueDataUnreadable, "%s; workers are started but not stopped until it is mended", s.snapshot.Doubt)
	case len(s.snapshot.Paused) > 0:
		return yes(v1.ReasonQueueRead, "%s; paused: %s", s.howRead(), listed(s.snapshot.Paused))
	}
	return yes(v1.ReasonQueueRead, "%s", s.howRead())
}

// howRead says how changes of the queue are noticed.
func (s *scope) howRead() string {
	period := int(s.snapshot.Period.Seconds())
	switch {
	case s.snapshot.Pushed:
		return fmt.Sprintf("Redis pushes the queue's changes, and it is read every %d s", period)
	case s.snapshot.NotPushed != "":
		return fmt.Sprintf("the queue is polled every %d s: %s", period, s.snapshot.NotPushed)
	}
	return fmt.Sprintf("the queue is read every %d s", period)
}

func (s *scope) formationCondition() condition {
	m := s.memory
	switch {
	case s.formationProblem != nil:
		return no(s.formationProblem.reason, "%s", s.formationProblem.message)
	case m.quantity == nil || m.uncertain:
		return unknown(v1.ReasonUnknown, "the formation is not known")
	case s.contest() != nil:
		return no(v1.ReasonContested, "%s", s.contest().message)
	case s.leavesDrift() && s.decision.Desired != nil && *s.decision.Desired != *m.quantity:
		return no(v1.ReasonDrift, "somebody else set %d dynos, not %d; spec.driftPolicy Report leaves them until the queue next falls idle or becomes active",
			*m.quantity, *s.decision.Desired)
	case s.activeQuantity() < int(s.object.Spec.ActiveQuantity):
		return no(v1.ReasonQuantityLimited, "Heroku allows at most %d dynos here", m.limit)
	case *m.quantity > s.activeQuantity():
		return yes(v1.ReasonSurplus, "%d dynos are more than spec.activeQuantity; the surplus is stopped when the queue falls idle", *m.quantity)
	case s.decision.Desired != nil && *s.decision.Desired != *m.quantity:
		return no(v1.ReasonScaling, "scaling from %d to %d", *m.quantity, *s.decision.Desired)
	}
	return yes(v1.ReasonSynced, "the quantity is the desired one")
}

func toInt32(n *int) *int32 {
	if n == nil {
		return nil
	}
	return ptr.To(int32(*n)) //nolint:gosec // dynos are counted in hundreds
}

// timestamp is a time as the API keeps it.
func timestamp(t time.Time) metav1.Time { return metav1.NewTime(t.Truncate(time.Second)) }
