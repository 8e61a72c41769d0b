// Package scaling decides how many dynos a process type should have. It is pure: everything it
// needs, the time included, is in its input, and it touches nothing.
//
// Its invariant: an unknown never lowers a quantity, and nothing but the proof of zero does.
package scaling

import "time"

// Work is what is known of a queue's work. Times are the operator's.
type Work struct {
	Depth    int64
	InFlight int64

	// NextDue is when the next scheduled job is due; zero if none is known.
	NextDue time.Time
	// DueKnownUntil bounds what is known of scheduled jobs: one due later than this may exist
	// unseen. Zero means that all are known.
	DueKnownUntil time.Time

	// IdleSince is when the present idle spell began: after the last activity seen and after the
	// last gap in observation. Zero while active.
	IdleSince time.Time
	// SettledAt is when the workers can be trusted again after such a gap: their heartbeats have
	// had the time to arrive. Zero where no gap is being waited out.
	SettledAt time.Time
	// Heard says that every process that serves the queue is alive and was heard after IdleSince.
	// True where the job system has no heartbeats.
	Heard bool
	// Accounted says that every dyno of the formation is accounted for: a process of it is heard, or
	// Heroku vouches that none runs there. True where the job system has no heartbeats.
	Accounted bool
	// Elsewhere says that workers of the process type are heard and none of them serves the queue:
	// they may be running jobs that are not counted here.
	Elsewhere bool
	// Absent says that one of the queues is not known to be there: the jobs may be in one of another
	// name, or in another Redis.
	Absent bool
	// Unwatched says that jobs may be taken and run with nobody to see.
	Unwatched bool
	// Doubtful says that something in Redis could not be understood: there may be more work than
	// is counted here.
	Doubtful bool
}

// Wanted reports whether there are jobs at now that no worker has taken.
func (w *Work) Wanted(now time.Time) bool {
	return w.Depth > 0 || (!w.NextDue.IsZero() && !now.Before(w.NextDue))
}

// Input is all that a decision depends on.
type Input struct {
	Now time.Time

	// Suspended holds the quantity; SuspendedUntil is zero where no end is set.
	Suspended      bool
	SuspendedUntil time.Time
	// WakeUntil keeps the workers up until then, whatever the queue holds.
	WakeUntil time.Time

	// OpenUntil is until when a window is open in which workers must be up, zero if none is; NextOpen
	// is when the next one opens, zero if none will.
	OpenUntil, NextOpen time.Time
	// WindowsDoubtful says that there may be windows which could not be understood.
	WindowsDoubtful bool

	// Protected says that the dynos may not be stopped, whatever the queue holds.
	Protected bool

	// Drain is the drain in progress; nil for none.
	Drain *Drain

	// ActiveQuantity is the number of dynos for an active queue, at least 1.
	ActiveQuantity int
	// Quantity is the formation's present one; nil while not known.
	Quantity *int
	// Work is nil while the queue cannot be read.
	Work *Work

	// IdleTimeout is how long the queue must be idle before zero.
	IdleTimeout time.Duration
	// WakeLead is how long before a scheduled job is due, or a window opens, the workers are started.
	WakeLead time.Duration
}

// Drain is what came after the proof of zero: the workers were told to take no more jobs. Nothing
// makes them take jobs again but a fresh start, so that a drain always ends with a stop.
type Drain struct {
	// Free says that no worker has a job or will take one.
	Free bool
	// Deadline is when jobs that wait wait no longer for one that still runs.
	Deadline time.Time
}

// Reason says why a decision was taken.
type Reason string

// Reasons, in the order in which they are looked at.
const (
	Drained           Reason = "Drained"
	DrainTimedOut     Reason = "DrainTimedOut"
	Draining          Reason = "Draining"
	DrainAborted      Reason = "DrainAborted"
	Suspended         Reason = "Suspended"
	WakeRequested     Reason = "WakeRequested"
	WindowOpen        Reason = "WindowOpen"
	QueueUnknown      Reason = "QueueUnknown"
	JobsWaiting       Reason = "JobsWaiting"
	JobsInFlight      Reason = "JobsInFlight"
	JobDue            Reason = "JobDue"
	FormationUnknown  Reason = "FormationUnknown"
	Asleep            Reason = "Asleep"
	Protected         Reason = "Protected"
	DataDoubtful      Reason = "DataDoubtful"
	QueueAbsent       Reason = "QueueAbsent"
	WorkersElsewhere  Reason = "WorkersElsewhere"
	JobsUnseen        Reason = "JobsUnseen"
	DueUnknown        Reason = "DueUnknown"
	WindowsDoubtful   Reason = "WindowsDoubtful"
	JobDueSoon        Reason = "JobDueSoon"
	WindowOpensSoon   Reason = "WindowOpensSoon"
	IdleTimeout       Reason = "IdleTimeout"
	AwaitingHeartbeat Reason = "AwaitingHeartbeat"
	WorkersSilent     Reason = "WorkersSilent"
	ProvenIdle        Reason = "ProvenIdle"
)

// Active says whether the reason is one for which workers must run.
func (r Reason) Active() bool {
	switch r {
	case WakeRequested, WindowOpen, JobsWaiting, JobsInFlight, JobDue, DrainAborted:
		return true
	}
	return false
}

// Decision is what should be.
type Decision struct {
	// Desired is the wanted quantity; nil while it cannot be told, which means: hold.
	Desired *int
	Reason  Reason
	// ZeroAt is when the idle timeout ends, where one is running; zero otherwise.
	ZeroAt time.Time
	// Recheck is when to decide again if nothing is heard before; always above zero.
	Recheck time.Duration
}

const (
	// slowRecheck is for decisions that only an observation can change.
	slowRecheck = 10 * time.Minute
	// proofRecheck is for what should be known any moment: a heartbeat, a page of the schedule.
	proofRecheck = 2 * time.Second
)

// Decide says how many dynos there should be, and why.
func Decide(in Input) Decision {
	if in.Drain != nil {
		return in.endDrain()
	}
	if in.Suspended {
		return Decision{Reason: Suspended, Recheck: until(in.Now, in.SuspendedUntil)}
	}
	if in.Now.Before(in.WakeUntil) {
		return wake(in, WakeRequested, until(in.Now, in.WakeUntil))
	}
	if in.Now.Before(in.OpenUntil) {
		return wake(in, WindowOpen, until(in.Now, in.OpenUntil))
	}
	if !in.NextOpen.IsZero() && !in.Now.Before(in.windowWake()) {
		return wake(in, WindowOpen, until(in.Now, in.NextOpen))
	}
	if in.Work == nil {
		return Decision{Reason: QueueUnknown, Recheck: until(in.Now, in.windowWake())}
	}
	if reason := in.active(); reason != "" {
		return wake(in, reason, slowRecheck)
	}
	if in.Quantity == nil {
		return Decision{Reason: FormationUnknown, Recheck: until(in.Now, in.nextWake())}
	}
	if *in.Quantity == 0 {
		return hold(in, Asleep, until(in.Now, in.dueWake()))
	}
	return in.fallAsleep()
}

// endDrain stops the workers as soon as none has a job, or when others have waited long enough for
// it. A drain that finds scaling suspended leaves fresh workers behind.
func (in Input) endDrain() Decision {
	switch {
	case in.Quantity == nil:
		return Decision{Reason: FormationUnknown, Recheck: proofRecheck}
	case *in.Quantity == 0 && in.Suspended:
		return wake(in, DrainAborted, proofRecheck)
	case in.Work == nil:
		return Decision{Reason: QueueUnknown, Recheck: proofRecheck}
	case in.Drain.Free && !in.Work.Absent: // the workers of a queue that is not there are not seen
		return Decision{Desired: new(int), Reason: Drained, Recheck: proofRecheck}
	case in.Work.Wanted(in.Now) && !in.Now.Before(in.Drain.Deadline):
		return Decision{Desired: new(int), Reason: DrainTimedOut, Recheck: proofRecheck}
	}
	return hold(in, Draining, min(proofRecheck, until(in.Now, in.Drain.Deadline), until(in.Now, in.Work.NextDue)))
}

// active returns the reason for which workers must run now, or none.
func (in Input) active() Reason {
	work := in.Work
	switch {
	case work.Depth > 0:
		return JobsWaiting
	case work.InFlight > 0:
		return JobsInFlight
	case !work.NextDue.IsZero() && !in.Now.Before(in.jobWake()):
		return JobDue
	}
	return ""
}

// jobWake is when the lead of the next scheduled job begins, and windowWake that of the next window.
// Zero if never.
func (in Input) jobWake() time.Time    { return ahead(in.Work.NextDue, in.WakeLead) }
func (in Input) windowWake() time.Time { return ahead(in.NextOpen, in.WakeLead) }

// nextWake is when the first of them begins.
func (in Input) nextWake() time.Time { return earliest(in.jobWake(), in.windowWake()) }

// dueWake is when a look is next asked for: when a lead begins, or where knowledge of the schedule
// ends. Zero if never.
func (in Input) dueWake() time.Time {
	return earliest(in.nextWake(), ahead(in.Work.DueKnownUntil, in.WakeLead))
}

// fallAsleep looks for the proof of zero of a queue without work, and holds until it has all of it.
func (in Input) fallAsleep() Decision {
	work := in.Work
	zeroAt := latest(work.IdleSince.Add(in.IdleTimeout), work.SettledAt)
	margin := in.WakeLead + in.IdleTimeout
	stay := in.Now.Add(margin)
	switch {
	case in.Protected:
		return hold(in, Protected, slowRecheck)
	case work.Doubtful:
		return hold(in, DataDoubtful, slowRecheck)
	case work.Absent:
		return hold(in, QueueAbsent, slowRecheck)
	case work.Elsewhere:
		return hold(in, WorkersElsewhere, slowRecheck)
	case work.Unwatched:
		return hold(in, JobsUnseen, slowRecheck)
	case in.WindowsDoubtful:
		return hold(in, WindowsDoubtful, slowRecheck)
	case !in.NextOpen.IsZero() && !in.NextOpen.After(stay):
		return hold(in, WindowOpensSoon, until(in.Now, in.dueWake()))
	case !work.NextDue.IsZero() && !work.NextDue.After(stay):
		// Stopping for less than a timeout would only cost a start.
		return hold(in, JobDueSoon, until(in.Now, in.dueWake()))
	case !work.DueKnownUntil.IsZero() && !work.DueKnownUntil.After(stay):
		return hold(in, DueUnknown, proofRecheck)
	case work.IdleSince.IsZero():
		return hold(in, IdleTimeout, proofRecheck)
	case in.Now.Before(zeroAt):
		decision := hold(in, IdleTimeout, until(in.Now, zeroAt))
		decision.ZeroAt = zeroAt
		return decision
	case !work.Heard:
		return hold(in, AwaitingHeartbeat, proofRecheck)
	case !work.Accounted: // the last to be asked for: Heroku's list of dynos costs a request
		return hold(in, WorkersSilent, slowRecheck)
	}
	// Left undone, the stop is only right for as long as the schedule stays clear.
	clearUntil := ahead(earliest(in.NextOpen, earliest(work.NextDue, work.DueKnownUntil)), margin)
	return Decision{Desired: new(int), Reason: ProvenIdle, Recheck: until(in.Now, clearUntil)}
}

// wake wants the active quantity, or more where more runs: while active nothing is stopped.
func wake(in Input, reason Reason, recheck time.Duration) Decision {
	desired := in.ActiveQuantity
	if in.Quantity != nil {
		desired = max(desired, *in.Quantity)
	}
	return Decision{Desired: &desired, Reason: reason, Recheck: recheck}
}

// hold wants what is, until a scheduled job or a window wants more.
func hold(in Input, reason Reason, recheck time.Duration) Decision {
	desired := *in.Quantity
	return Decision{Desired: &desired, Reason: reason, Recheck: min(recheck, until(in.Now, in.nextWake()))}
}

// until is the time from now to t, bounded to what a recheck may be.
func until(now, t time.Time) time.Duration {
	switch {
	case t.IsZero():
		return slowRecheck
	case !t.After(now):
		return proofRecheck
	}
	return min(t.Sub(now), slowRecheck)
}

// earliest returns the earlier of two times, of which zero stands for never.
func earliest(a, b time.Time) time.Time {
	if a.IsZero() || (!b.IsZero() && b.Before(a)) {
		return b
	}
	return a
}

// ahead returns the time d before t, of which zero stands for never.
func ahead(t time.Time, d time.Duration) time.Time {
	if t.IsZero() {
		return t
	}
	return t.Add(-d)
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
