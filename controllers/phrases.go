package controllers

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	v1 "github.com/queuescaler/queuescaler/api/v1"
	"github.com/queuescaler/queuescaler/internal/scaling"
)

// phrases say in a few words why a decision was taken.
var phrases = map[scaling.Reason]string{
	scaling.Suspended:         "scaling is suspended",
	scaling.WindowOpen:        "a window of spec.schedules is open or about to open",
	scaling.WindowOpensSoon:   "a window of spec.schedules opens soon",
	scaling.WindowsDoubtful:   "spec.schedules cannot be understood",
	scaling.Draining:          "the workers take no more jobs, and are stopped when they are free",
	scaling.Drained:           "the queue was idle and the workers are free",
	scaling.DrainTimedOut:     "jobs have waited for spec.drain.timeoutSeconds for one that runs on",
	scaling.DrainAborted:      "scaling was suspended during a drain",
	scaling.WakeRequested:     "the annotation " + v1.AnnotationWakeUntil + " asks for it",
	scaling.QueueUnknown:      "the queue is not known",
	scaling.JobsWaiting:       "jobs wait",
	scaling.JobsInFlight:      "a job is in flight",
	scaling.JobDue:            "a scheduled job is due",
	scaling.FormationUnknown:  "the formation is not known",
	scaling.Asleep:            "the queue is idle",
	scaling.Protected:         "process type web is not stopped without spec.heroku.allowWeb",
	scaling.DataDoubtful:      "something in Redis cannot be understood",
	scaling.QueueAbsent:       "a queue of spec.queue is not known in Redis",
	scaling.WorkersElsewhere:  "worker processes are heard, and none of them serves these queues",
	scaling.JobsUnseen:        "Redis does not show which jobs run, and does not tell of them either; see WorkersHealthy",
	scaling.DueUnknown:        "the scheduled jobs are still being read",
	scaling.JobDueSoon:        "a scheduled job is due soon",
	scaling.IdleTimeout:       "the idle timeout is running",
	scaling.AwaitingHeartbeat: "a worker has not been heard since the last job",
	scaling.WorkersSilent:     "a dyno runs of which no worker process is heard; see WorkersHealthy",
	scaling.ProvenIdle:        "the queue was idle for the whole idle timeout",
}

// activeReasons are the condition reasons of decisions that keep workers up or would start them.
var activeReasons = map[scaling.Reason]string{
	scaling.WindowOpen:        v1.ReasonWindowOpen,
	scaling.WindowOpensSoon:   v1.ReasonWindowOpensSoon,
	scaling.WindowsDoubtful:   v1.ReasonScheduleInvalid,
	scaling.Draining:          v1.ReasonDraining,
	scaling.Drained:           v1.ReasonDraining,
	scaling.DrainTimedOut:     v1.ReasonDrainTimedOut,
	scaling.DrainAborted:      v1.ReasonSuspended,
	scaling.WakeRequested:     v1.ReasonWakeRequested,
	scaling.JobsWaiting:       v1.ReasonJobsWaiting,
	scaling.JobsInFlight:      v1.ReasonJobsInFlight,
	scaling.JobDue:            v1.ReasonJobDue,
	scaling.Protected:         v1.ReasonWebNotAllowed,
	scaling.DataDoubtful:      v1.ReasonQueueDataUnreadable,
	scaling.QueueAbsent:       v1.ReasonQueueNotFound,
	scaling.WorkersElsewhere:  v1.ReasonWorkersElsewhere,
	scaling.JobsUnseen:        v1.ReasonJobsUnseen,
	scaling.DueUnknown:        v1.ReasonDueUnknown,
	scaling.JobDueSoon:        v1.ReasonJobDueSoon,
	scaling.IdleTimeout:       v1.ReasonIdleTimeout,
	scaling.WorkersSilent:     v1.ReasonWorkersSilent,
	scaling.AwaitingHeartbeat: v1.ReasonAwaitingHeartbeat,
}

// activeCondition explains the decision: why this quantity, and until when.
func (s *scope) activeCondition() condition {
	d, timeout := s.decision, int(s.idleTimeout().Seconds())
	switch reason := activeReasons[d.Reason]; {
	case s.conflicting():
		return unknown(v1.ReasonTargetConflict, "another QueueScaler scales this process type")
	case d.Reason == scaling.Suspended:
		return unknown(v1.ReasonSuspended, "scaling is suspended")
	case d.Desired == nil:
		return unknown(v1.ReasonUnknown, "held: %s", phrases[d.Reason])
	case d.Reason == scaling.Draining && !s.memory.quieting.proven:
		return yes(reason, "kept at %d: a drain began here and may have ended; the workers have yet to say whether they take jobs", *d.Desired)
	case s.stopIsDue():
		return yes(cmp.Or(reason, v1.ReasonIdleTimeout), "%d run and are to be stopped: %s%s", *s.memory.quantity, phrases[d.Reason], s.heldBack())
	case d.Reason.Active():
		return yes(reason, "kept at %d: %s; zero %d s after the queue falls idle", *d.Desired, phrases[d.Reason], timeout)
	case !d.ZeroAt.IsZero():
		return yes(reason, "kept at %d until %s, when the idle timeout ends", *d.Desired, d.ZeroAt.UTC().Format(time.TimeOnly+"Z"))
	case reason != "":
		return yes(reason, "kept at %d: %s", *d.Desired, phrases[d.Reason])
	}
	if due := s.snapshot.NextDue; !due.IsZero() {
		return no(v1.ReasonIdle, "idle; the next scheduled job starts the workers at %s", due.Add(-s.wakeLead()).UTC().Format(time.RFC3339))
	}
	return no(v1.ReasonIdle, "idle; a job starts the workers")
}

// stopIsDue reports whether more dynos run than are wanted, as where a stop may not be made yet.
func (s *scope) stopIsDue() bool {
	desired, quantity := s.decision.Desired, s.memory.quantity
	return desired != nil && quantity != nil && *desired < *quantity
}

// heldBack says why a stop may not be made, where that is known.
func (s *scope) heldBack() string {
	if s.stopHeld {
		return "; nothing is stopped while the operator cannot write to the API server"
	}
	return ""
}

// workersCondition tells what the heartbeats, or their absence, say of the workers.
func (s *scope) workersCondition() condition {
	m, snapshot := s.memory, s.snapshot
	switch {
	case s.queueProblem != nil || !snapshot.Known():
		return unknown(v1.ReasonUnknown, "the queue is not known")
	case m.rescue.givenUp():
		return no(v1.ReasonOrphansAbandoned, "%d jobs were left by workers that died, and %d starts did not recover them, so they start workers no more: "+
			"have the workers recover them, or remove them", snapshot.Orphans, rescueStarts)
	case snapshot.Unwatched && snapshot.NotPushed != "":
		return no(v1.ReasonJobsUnseen, "workers are started but not stopped: Redis does not show which jobs run, and %s. "+
			"Have Redis tell the operator of changes (CLIENT TRACKING: Redis 6 or later, the right +client|tracking, a free connection, and no proxy that swallows pushes), "+
			"or have Redis show the jobs that run: spec.queue.list.processingKeys, or Celery's task_acks_late", snapshot.NotPushed)
	case !snapshot.Heartbeats:
		return unknown(v1.ReasonWorkersNotObservable, "Redis does not show the workers of a queue of type %s", s.object.Spec.Queue.Type)
	case snapshot.Elsewhere && m.quantity != nil && *m.quantity > 0:
		return no(v1.ReasonWorkersElsewhere, "%s processes are heard, and none of them serves these queues: check spec.queue.names", s.object.Spec.Heroku.ProcessType)
	case s.whyUnserved() != nil:
		return *s.whyUnserved()
	case s.heldByAbsence():
		return s.silentCondition()
	case snapshot.Live() > 0:
		return yes(v1.ReasonWorkersHeard, "worker processes are heard")
	}
	if m.quantity == nil || *m.quantity > 0 {
		return yes(v1.ReasonWorkersOff, "no worker process is heard")
	}
	return yes(v1.ReasonWorkersOff, "no worker process is running")
}

// whyUnserved tells why jobs wait in vain; nil if nothing says that they do.
func (s *scope) whyUnserved() *condition {
	m, snapshot := s.memory, s.snapshot
	inVain := func(reason, format string, args ...any) *condition { c := no(reason, format, args...); return &c }
	switch {
	case len(snapshot.NotServed) > 0:
		return inVain(v1.ReasonQueueNotServed, "jobs wait in %s, which no worker process serves: add the queue to the workers' configuration", listed(snapshot.NotServed))
	case snapshot.AllQuiet() && snapshot.Depth > 0 && (s.draining() || !m.strandedSince.IsZero()):
		return inVain(v1.ReasonWorkersQuiet, "jobs wait, and all worker processes are quiet: they are stopped when none has a job, and started afresh")
	case snapshot.AllQuiet() && snapshot.Depth > 0:
		return inVain(v1.ReasonWorkersQuiet, "jobs wait, and all worker processes are quiet: restart them")
	case s.unservedForLong() && m.crashed:
		return inVain(v1.ReasonWorkersCrashing, "jobs wait, and the dynos crash: see heroku logs --ps %s", s.object.Spec.Heroku.ProcessType)
	case s.unservedForLong():
		return inVain(v1.ReasonWorkersNotHeard, "jobs wait, and no worker process was heard for %d s: do the dynos use this Redis and these queues?", int(blindPatience.Seconds()))
	}
	return nil
}

// shortened cuts a text, which may have names out of Redis or a message of Heroku's in it, to what an
// event can hold.
func shortened(text string) string { return brief(text, 1000) }

// mostOfName is how many bytes of a name out of Redis, and mostOfWords how many of a message of Heroku's, stand
// in a message: the cure comes after them, and must not be cut off.
const mostOfName, mostOfWords = 60, 200

// brief cuts a text to at most so many bytes, and a sign that something is missing.
func brief(text string, most int) string {
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "") + "…"
}

// listed puts names into a message, as many as a person reads.
func listed(names []string) string {
	const most = 5
	if len(names) > most {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
	}
	return strings.Join(names, ", ")
}
