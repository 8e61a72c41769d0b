package queue

import (
	"slices"
	"time"
)

const (
	// flood is the number of pushes for a queue that is active anyway after which they are done without.
	flood = 1000
	// floodRest is how long a queue must be idle to be listened to again after a flood.
	floodRest = 3 * time.Second
	// shortestPause and longestPause bound the time between two reads that pushes ask for and that
	// find no work.
	shortestPause = 50 * time.Millisecond
	longestPause  = time.Second
)

// hints is what an owner heard of its keys.
type hints struct {
	set watchSet
	// covered says whether all its keys are listened to, since coveredSince.
	covered      bool
	coveredSince time.Time
	last         time.Time // when it was last told of a write
	// readAt is when to read because of that, zero for no need; pause is the least time after the
	// last such read.
	readAt, lastRead time.Time
	pause            time.Duration
	// ignored counts those of no use, since the queue is active; after a flood of them it is muted.
	ignored int
	muted   bool
}

// cover notes whether the prefixes in force cover the owner's keys.
func (n *hints) cover(prefixes []string, now time.Time) {
	n.covered, n.coveredSince = len(prefixes) > 0 && covers(prefixes, n.set.prefixes()), now
}

// unheard says whether an owner wants to hear of its keys and does not.
func (o *owner) unheard() bool { return !o.hints.muted && !o.hints.covered }

// heardSince reports whether Redis told of all writes to the owner's keys since a time.
func (o *owner) heardSince(t time.Time) bool {
	return o.hints.covered && o.hints.coveredSince.Before(t) && o.tracker.unwatched.Before(t)
}

// hint tells an owner of a write. One whose queue is active learns nothing new; another is read at
// once, then in growing pauses while that finds no work. It says whether to read. The caller holds
// the lock.
func (h *Hub) hint(w watcher, now time.Time) bool {
	owner := w.owner
	hints := &owner.hints
	if now.Sub(hints.last) > 2*longestPause {
		hints.pause = 0
	}
	hints.last = now
	if w.job {
		owner.tracker.pushed = now
	}
	if snapshot := owner.tracker.snapshot; snapshot.Known() && snapshot.Active() && w.job {
		if hints.ignored++; hints.ignored == flood {
			hints.muted, hints.covered = true, false
			h.askRearm()
		}
		return false
	}
	if !hints.readAt.IsZero() {
		return false
	}
	hints.readAt = latest(now, hints.lastRead.Add(hints.pause))
	return true
}

// due says whether a push asks for a read now.
func (n *hints) due(now time.Time) bool { return !n.readAt.IsZero() && !n.readAt.After(now) }

// reading notes that a read begins: it answers all pushes until now.
func (n *hints) reading(now time.Time, hinted bool) {
	if hinted {
		n.lastRead = now
	}
	n.readAt = time.Time{}
}

// heed takes in whether a look that pushes asked for found work, and whether the queue is to be
// listened to again. The caller holds the lock.
func (h *Hub) heed(o *owner, hinted bool) {
	hints, now := &o.hints, o.tracker.snapshot
	active := now.Known() && now.Active()
	switch {
	case active:
		hints.pause = 0
	case hinted:
		hints.pause = min(longestPause, max(shortestPause, 2*hints.pause))
	}
	if hints.muted && !now.IdleSince.IsZero() && now.End.Sub(now.IdleSince) >= floodRest {
		hints.muted, hints.ignored = false, 0
		h.askRearm()
	}
	if h.watch.prefixes != nil && o.unheard() {
		h.askRearm()
	}
}

// compare looks for jobs that came without a push. That they go without one is no sign: Redis does not
// tell of what a consumer group reads. The caller holds the lock.
func (h *Hub) compare(o *owner, last Snapshot) {
	next, since := o.tracker.snapshot, last.Start
	came := last.Known() && last.Depth < next.Depth && slices.Equal(last.Paused, next.Paused)
	if came && !o.hints.set.silent && o.hints.covered && o.hints.coveredSince.Before(since) && o.hints.last.Before(since) {
		time.AfterFunc(pushPatience, func() { h.judge(o, since) })
	}
}
