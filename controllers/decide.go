package controllers

import (
	"cmp"
	"fmt"
	"time"

	"k8s.io/utils/ptr"

	v1 "github.com/queuescaler/queuescaler/api/v1"
	"github.com/queuescaler/queuescaler/internal/scaling"
	"github.com/queuescaler/queuescaler/internal/schedule"
)

// decide puts what is known before the decision.
func (s *scope) decide() {
	overrides, p := s.overrides()
	windows, windowsProblem := s.windows()
	web := s.webProblem()
	s.specProblem = firstOf(p, web, windowsProblem)
	s.noteSuspension(overrides.suspended)
	s.noteRescue()
	s.watchQuiet()
	window := schedule.At(s.now, windows)
	s.decision = scaling.Decide(scaling.Input{
		Now:            s.now,
		Suspended:      overrides.suspended,
		SuspendedUntil: overrides.suspendedUntil,
		WakeUntil:      overrides.wakeUntil,
		OpenUntil:      window.OpenUntil,
		NextOpen:       window.NextOpen,
		Drain:          s.drain(),
		ActiveQuantity: s.activeQuantity(),
		Quantity:       s.memory.quantity,
		Work:           s.work(),
		IdleTimeout:    s.idleTimeout(),
		WakeLead:       s.wakeLead(),

		WindowsDoubtful: windowsProblem != nil,
		Protected:       web != nil,
	})
	if least := s.memory.remembered; least != nil && s.memory.quantity == nil && s.decision.Desired != nil {
		s.decision.Desired = ptr.To(max(*s.decision.Desired, *least)) // more may run than is known of
	}
	s.memory.drift.edge(s.decision.Reason.Active())
	if !s.decision.Reason.Active() {
		s.memory.confirmed = false
	}
	if s.decision.Reason != scaling.ProvenIdle && !s.draining() {
		s.memory.drainProblem = nil
	}
}

// webProblem has an object of process type web that was stored before the API refused it stop nothing.
func (s *scope) webProblem() *problem {
	spec := s.object.Spec.Heroku
	if spec.ProcessType != "web" || spec.AllowWeb {
		return nil
	}
	return &problem{reason: v1.ReasonWebNotAllowed, class: settled, message: "spec.heroku.processType web serves the app's requests and is never stopped: " +
		"name the process type of the workers, or set spec.heroku.allowWeb to true if the site may be off while the queue is idle"}
}

func firstOf(problems ...*problem) *problem {
	for _, p := range problems {
		if p != nil {
			return p
		}
	}
	return nil
}

// windows are those of spec.schedules, parsed once for each generation. One that cannot be understood
// may be open at any time.
func (s *scope) windows() ([]schedule.Window, *problem) {
	m := s.memory
	if m.windows != nil || m.windowsProblem != nil {
		return m.windows, m.windowsProblem
	}
	m.windows = make([]schedule.Window, 0, len(s.object.Spec.Schedules))
	for _, spec := range s.object.Spec.Schedules {
		window, err := schedule.Parse(spec.Cron, spec.TimeZone, time.Duration(spec.DurationSeconds)*time.Second)
		if err != nil {
			m.windowsProblem = &problem{reason: v1.ReasonScheduleInvalid, class: settled,
				message: fmt.Sprintf("spec.schedules[%q]: %s", spec.Name, err)}
			continue
		}
		m.windows = append(m.windows, window)
	}
	return m.windows, m.windowsProblem
}

// noteSuspension restarts the idle clock when scaling is resumed.
func (s *scope) noteSuspension(suspended bool) {
	if s.memory.suspended && !suspended {
		s.memory.idleFloor = s.now
	}
	s.memory.suspended = suspended
}

// activeQuantity is the spec's, or the most that Heroku allowed of it.
func (s *scope) activeQuantity() int {
	wanted := int(s.object.Spec.ActiveQuantity)
	if limit := s.memory.limit; limit > 0 && s.now.Before(s.memory.limitUntil) {
		return min(wanted, limit)
	}
	return wanted
}

// work is what the snapshot says, or nil if it says nothing.
func (s *scope) work() *scaling.Work {
	if s.queueProblem != nil || !s.snapshot.Known() {
		return nil
	}
	work := &scaling.Work{
		Depth:         s.snapshot.Depth,
		InFlight:      s.snapshot.InFlight,
		NextDue:       s.snapshot.NextDue,
		DueKnownUntil: s.snapshot.DueKnownUntil,
		IdleSince:     s.snapshot.IdleSince,
		SettledAt:     s.snapshot.SettledAt,
		Heard:         s.snapshot.Heard,
		Accounted:     !s.snapshot.Active() && s.accounted(), // only zero asks for it
		Elsewhere:     s.snapshot.Elsewhere,
		Unwatched:     s.snapshot.Unwatched,
		Absent:        len(s.snapshot.Absent) > 0,
		Doubtful:      s.snapshot.Doubt != "",
	}
	if s.memory.rescue.hopeful() {
		work.Depth = s.snapshot.Wanted()
	}
	if !work.IdleSince.IsZero() && work.IdleSince.Before(s.memory.idleFloor) {
		work.IdleSince = s.memory.idleFloor
	}
	return work
}

// overrides are the parts of the spec and the annotations that stand above the queue.
type overrides struct {
	suspended                 bool
	suspendedUntil, wakeUntil time.Time
}

// overrides reads the annotations. One that cannot be read is reported; a broken suspend-until
// suspends, since somebody wants the formation left alone.
func (s *scope) overrides() (overrides, *problem) {
	o := overrides{suspended: s.object.Spec.Suspend}
	until, p := s.timeAnnotation(v1.AnnotationSuspendUntil)
	if s.now.Before(until) {
		o.suspended, o.suspendedUntil = true, until
	}
	if p != nil || s.object.Spec.Suspend {
		o.suspended, o.suspendedUntil = true, time.Time{}
	}
	var wakeProblem *problem
	o.wakeUntil, wakeProblem = s.timeAnnotation(v1.AnnotationWakeUntil)
	_, silentProblem := s.timeAnnotation(v1.AnnotationIgnoreSilentUntil)
	return o, cmp.Or(p, wakeProblem, silentProblem)
}

func (s *scope) timeAnnotation(name string) (time.Time, *problem) {
	text, ok := s.object.Annotations[name]
	if !ok {
		return time.Time{}, nil
	}
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return time.Time{}, &problem{reason: v1.ReasonAnnotationInvalid, class: settled, message: fmt.Sprintf(
			"annotation %s must be a time such as 2030-01-31T18:00:00Z: correct or remove it", name)}
	}
	return at, nil
}
