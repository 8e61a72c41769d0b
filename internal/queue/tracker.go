package queue

import (
	"slices"
	"time"
)

// Snapshot is the last that is known of an owner's queues. It is a value: nobody changes it.
type Snapshot struct {
	// Observation is the last successful look; its End is zero before the first.
	Observation
	// Err is why the last look failed; nil if it did not. While it is set the queue is not known.
	Err *Error

	// IdleSince is when the present idle spell began; zero while active or not known.
	IdleSince time.Time
	// SettledAt is when all workers must have been heard again after a gap in observation.
	SettledAt time.Time
	// Heard says whether every process that serves the queues is alive and was heard in this spell.
	Heard bool

	// PushedAt is when Redis last told of a job that came, was taken or moved on; zero if never.
	PushedAt time.Time
	// Unwatched says that jobs may be taken and run with nobody to see: Redis does not show which jobs run,
	// and nothing tells when one comes or is taken.
	Unwatched bool
	// Pushed says whether Redis tells of changes as they happen; if not, NotPushed may say why.
	Pushed    bool
	NotPushed string
	// Period is the longest time between two looks now.
	Period time.Duration
}

// Known says whether the snapshot tells the state of the queues.
func (s Snapshot) Known() bool { return s.Err == nil && !s.End.IsZero() }

// settleTime is how long it takes until workers whose heartbeats may have been lost (Redis was
// away, or its data was replaced) are all seen again: more than two heartbeats.
const settleTime = 30 * time.Second

// tracker folds the looks of one owner into snapshots, and keeps the idle clock.
type tracker struct {
	snapshot Snapshot
	maxGap   time.Duration // a longer time between two looks is a gap
	blind    bool          // Redis does not show which jobs run

	// pushed is when Redis last told of a job that came, was taken or moved on.
	pushed time.Time
	// unwatched is when Redis last began to tell of them: before that, jobs may have been pushed and
	// taken between two looks.
	unwatched time.Time
	// lost says that since the last look data may have vanished, and with them the sign of a job that runs.
	lost bool
}

// failed takes in a look that told nothing. The next successful one follows a gap.
func (t *tracker) failed(err *Error) {
	t.snapshot.Err = err
	t.snapshot.IdleSince, t.snapshot.SettledAt, t.snapshot.Heard = time.Time{}, time.Time{}, false
}

// saw takes in a successful look.
func (t *tracker) saw(look Observation) {
	last := t.snapshot
	next := Snapshot{Observation: look, IdleSince: last.IdleSince, SettledAt: last.SettledAt, PushedAt: t.pushed}
	next.NextDue = steady(last.NextDue, look.NextDue)
	if t.gap(last, look) {
		next.IdleSince = time.Time{}
		if look.Heartbeats || t.lost {
			next.SettledAt = look.End.Add(settleTime)
		}
	}
	switch {
	case look.Active() || finishedJobs(last, look) || movedOrphans(last, look) || tookDue(last, next):
		next.IdleSince = time.Time{}
		if !look.Active() {
			next.IdleSince = look.End
		}
	case next.IdleSince.IsZero():
		next.IdleSince = look.End
	}
	if !next.IdleSince.IsZero() {
		next.IdleSince = t.idleAfterGap(latest(next.IdleSince, t.pushed))
		next.Heard = look.heardAfter(latest(next.IdleSince, t.unwatched))
	}
	t.snapshot, t.lost = next, false
}

// idleAfterGap restarts the idle clock where a gap in listening may have hidden a job that still runs. The gap
// may be later than the last look.
func (t *tracker) idleAfterGap(since time.Time) time.Time {
	if !t.blind || since.IsZero() {
		return since
	}
	return latest(since, t.unwatched)
}

// gap says whether something can have happened unseen before this look: it is the first, or the
// first for long or after an error, or the first that knows a queue, data were lost, or a process is gone
// that may be running on all the same.
func (t *tracker) gap(last Snapshot, look Observation) bool {
	return !last.Known() || t.lost || look.Start.Sub(last.End) > t.maxGap || vanished(last.Observation, look) || len(look.Absent) < len(last.Absent)
}

// vanished says whether a process of the last look is missing in this one: it has stopped, or its
// data were lost.
func vanished(last, look Observation) bool {
	present := make(map[string]bool, len(look.Processes))
	for _, process := range look.Processes {
		present[process.Identity] = true
	}
	for _, process := range last.Processes {
		if !present[process.Identity] {
			return true
		}
	}
	return false
}

// finishedJobs says whether jobs came and went between the two looks.
func finishedJobs(last Snapshot, look Observation) bool {
	return last.Known() && last.Processed >= 0 && look.Processed >= 0 && last.Processed != look.Processed
}

// movedOrphans says whether orphans were recovered between the two looks, or left.
func movedOrphans(last Snapshot, look Observation) bool {
	return last.Known() && last.OrphanMark != look.OrphanMark
}

// tookDue reports whether a scheduled job was taken between the two looks: the job that was due next is
// gone, and what is due next now is due later. Where Redis is polled, a job that a worker moved on and took
// at once leaves no other trace. Example: the next job is due at 12:00:10; the look at 12:00:09 still finds
// the job, the look at 12:00:24 finds none, and the job has been running for some seconds.
//
// A job beyond what the look read of the schedule is not known to be gone.
func tookDue(last, next Snapshot) bool {
	due, readUntil := last.NextDue, next.DueKnownUntil
	if !last.Known() || due.IsZero() || (!readUntil.IsZero() && readUntil.Before(due)) {
		return false
	}
	return next.NextDue.IsZero() || next.NextDue.After(due)
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// steady keeps a due time that moved by less than the looks' own inaccuracy.
func steady(last, look time.Time) time.Time {
	if !last.IsZero() && !look.IsZero() && look.Sub(last).Abs() < time.Second {
		return last
	}
	return look
}

// matters says whether an owner must hear of a change, and whether jobs wait now that did not.
func matters(last, next Snapshot) (changed, wake bool) {
	if last.Known() != next.Known() || !sameError(last.Err, next.Err) {
		return true, next.Known() && next.Wanted() > 0
	}
	wake = next.Wanted() > 0 && last.Wanted() == 0
	return wake || workChanged(last, next) || workersChanged(last, next), wake
}

func workChanged(last, next Snapshot) bool {
	return last.Depth > 0 != (next.Depth > 0) || last.OrphanMark != next.OrphanMark || last.Active() != next.Active() ||
		!last.NextDue.Equal(next.NextDue) || last.Doubt != next.Doubt || last.Unwatched != next.Unwatched ||
		!slices.Equal(last.Absent, next.Absent) || !slices.Equal(last.Existing, next.Existing) || last.Unasked != next.Unasked ||
		last.IdleSince.IsZero() != next.IdleSince.IsZero() || !slices.Equal(last.Paused, next.Paused)
}

func workersChanged(last, next Snapshot) bool {
	return last.Elsewhere != next.Elsewhere || (next.Heard && !last.Heard) ||
		last.Live() != next.Live() || !sameSilent(last.Silent, next.Silent) || last.AllQuiet() != next.AllQuiet() ||
		!slices.Equal(last.NotServed, next.NotServed)
}

func sameError(a, b *Error) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.Kind == b.Kind && a.Message == b.Message
}
