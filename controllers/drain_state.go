package controllers

import "time"

const (
	// markPatience is how long an operator that found the mark of a drain waits for a worker that is quiet. A
	// worker takes the signal at one heartbeat and says so at the next, and some more.
	markPatience = 45 * time.Second
	// strandPatience is how long all workers may be quiet while jobs wait, without a drain: Heroku's restart of
	// the dynos takes 30 s at most, and then the last heartbeat of the old ones counts for 30 s more.
	strandPatience = 75 * time.Second
)

// quieting is what the operator saw of a drain since it began the drain, or found the drain's mark. The mark is in
// the status, where the next operator finds it. The times are of the operator's own clock, which does not jump.
type quieting struct {
	// told is when each process was last told to take no more jobs.
	told map[string]time.Time
	// proven says that the mark is true: this operator told workers, or saw one that is quiet. The end of a drain
	// may not have been written down, and then the workers are fresh ones.
	proven bool
	// foundAt is when the operator found the mark; zero before that.
	foundAt time.Time
	// wantedSince is since when jobs wait; zero while none does.
	wantedSince time.Time
}

// found is what is known at now of a mark that is there, when some worker said since then that it is quiet, or
// none did.
func (q quieting) found(now time.Time, quiet bool) quieting {
	if q.foundAt.IsZero() {
		q.foundAt = now
	}
	q.proven = q.proven || quiet
	return q
}

// disproven reports whether the mark has turned out not to be true.
func (q quieting) disproven(now time.Time) bool {
	return !q.proven && !q.foundAt.IsZero() && now.Sub(q.foundAt) >= markPatience
}

// awaited is what is known at now, when jobs wait or do not.
func (q quieting) awaited(now time.Time, waiting bool) quieting {
	q.wantedSince = since(q.wantedSince, now, waiting)
	return q
}

// deadline is when waiting jobs have waited long enough for one that still runs. An unproven mark interrupts
// nothing.
func (q quieting) deadline(now time.Time, timeout time.Duration) time.Time {
	if q.wantedSince.IsZero() || !q.proven {
		return now.Add(timeout)
	}
	return q.wantedSince.Add(timeout)
}
