package controllers

import (
	"fmt"
	"time"

	v1 "github.com/queuescaler/queuescaler/api/v1"
	"github.com/queuescaler/queuescaler/internal/heroku"
)

const (
	// contestAfter is how many corrections in a row, each undone within contestPeriod, make it likely
	// that another program scales the same process type.
	contestAfter  = 3
	contestPeriod = 30 * time.Minute
	// shortestTruce is how long the other's quantity is left alone then. Each further change doubles
	// that, up to longestTruce: jobs may be waiting.
	shortestTruce = time.Minute
	longestTruce  = 10 * time.Minute
)

// drift is what is known of changes that others made to the quantity.
type drift struct {
	// foreign says that the quantity is what somebody else made it, since the queue last fell idle or
	// became active.
	foreign bool
	active  bool
	// corrections were made in a row, the last one at correctedAt.
	corrections int
	correctedAt time.Time
	truce       time.Duration
	truceUntil  time.Time
}

// edge takes in whether the queue is active. When that turns, it is not drift any more that is
// corrected.
func (d *drift) edge(active bool) {
	if d.active != active {
		d.active, d.foreign = active, false
	}
}

// changed takes in that somebody else changed the quantity, and says whether that begins a contest.
func (d *drift) changed(now time.Time) (contest bool) {
	d.foreign = true
	if d.corrections < contestAfter || now.Sub(d.correctedAt) > contestPeriod {
		return false
	}
	contest = d.truce == 0
	d.truce = min(longestTruce, max(shortestTruce, 2*d.truce))
	d.truceUntil = now.Add(d.truce)
	return contest
}

// corrected takes in a PATCH that was made.
func (d *drift) corrected(now time.Time) {
	if !d.foreign {
		return
	}
	d.foreign = false
	if now.Sub(d.correctedAt) > contestPeriod {
		d.corrections, d.truce = 0, 0
	}
	d.corrections++
	d.correctedAt = now
}

// contested says whether somebody else's quantity is left alone for a while, since correcting it again
// and again is of no use.
func (d *drift) contested(now time.Time) bool { return d.foreign && now.Before(d.truceUntil) }

// leavesDrift says whether the quantity is left as somebody else made it. A drain ends in any case.
func (s *scope) leavesDrift() bool {
	d := s.memory.drift
	return !s.draining() && d.foreign && (s.object.Spec.DriftPolicy == v1.DriftReport || d.contested(s.now))
}

// noteDrift tells of a quantity that somebody else has changed. After a lost stop the change may be the
// operator's own: Heroku carries the stop out late.
func (r *Reconciler) noteDrift(s *scope, formation heroku.Formation) {
	known := s.memory.quantity
	if known == nil || s.memory.uncertain || s.memory.lost.open() || *known == formation.Quantity {
		return
	}
	r.tell(s, normal, v1.ReasonDrift, "Read", fmt.Sprintf("somebody else changed the quantity of %s from %d to %d",
		formation.ProcessType, *known, formation.Quantity))
	if s.memory.drift.changed(s.now) {
		r.tell(s, warning, v1.ReasonContested, "Read", contestMessage)
	}
}

const contestMessage = "something else keeps changing the quantity of this process type: have only one program scale it, or set spec.driftPolicy to Report"

// contest is the problem of a quantity that others keep changing, or nil.
func (s *scope) contest() *problem {
	if s.object.Spec.DriftPolicy == v1.DriftReport || !s.memory.drift.contested(s.now) {
		return nil
	}
	return &problem{reason: v1.ReasonContested, class: settled, message: fmt.Sprintf("%s; it is left alone until %s",
		contestMessage, s.memory.drift.truceUntil.UTC().Format(time.TimeOnly+"Z"))}
}
