package queue

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"time"
)

const (
	// rearmPeriod is the shortest time between two changes of what is listened to.
	rearmPeriod = time.Second
	// refusedPeriod is the time until a server that refuses to push is asked again.
	refusedPeriod = 10 * time.Minute
	// unpushedPeriod is the longest time between two reads while pushes should come and do not.
	unpushedPeriod = 5 * time.Second
	// pushPatience is how much later than a read a push may come that tells of what the read found.
	pushPatience = time.Second
)

// Counters count what all Hubs did since the process began.
type Counters struct {
	// Reads are pipelines, Commands what was in them, Pushes the messages that tell of writes.
	Reads, Commands, Pushes int64
}

var readsTotal, commandsTotal, pushesTotal atomic.Int64

// Count returns the counters.
func Count() Counters {
	return Counters{Reads: readsTotal.Load(), Commands: commandsTotal.Load(), Pushes: pushesTotal.Load()}
}

// watchState is what a Hub knows of its listening connection. The Hub's lock guards it.
type watchState struct {
	prefixes []string // in force; nil if none are
	session  *session // likewise
	// distrusted says that a change came without a push.
	distrusted bool
	pushed     bool
	why        string // why not
	// index finds the owners of a key, and wide are those of a prefix; nil after a change of owners.
	index map[string][]watcher
	wide  []*owner
}

// watcher is an owner that wants to hear of a key.
type watcher struct {
	owner *owner
	job   bool // a job goes through the key
}

// listenFailed notes why there are no pushes and returns when to try again. The first failure of a
// connection that worked says nothing: it is made again at once.
func (h *Hub) listenFailed(err error, failures int) time.Duration {
	var refused refusal
	switch {
	case errors.As(err, &refused):
		h.setPushed(false, "this Redis refuses CLIENT TRACKING to the operator's user")
		return jitter().of(refusedPeriod)
	case failures == 0:
		return 0
	}
	h.setPushed(false, "the connection that tells of changes cannot be made: "+classify(err, "").Message)
	return jitter().of(min(longestRetry, time.Second<<min(failures, 4)))
}

// wanted are the prefixes of all owners that are not muted, and none while there is no connection free
// to read with: the first is the reader's. What asked for them until now has its answer. While pushes do not
// arrive a connection that has all of them is not good enough: anew asks for another.
func (h *Hub) wanted() (prefixes []string, anew bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	select {
	case <-h.rearm:
	default:
	}
	if h.full {
		return nil, false
	}
	var list []string
	for _, owner := range h.owners {
		if !owner.hints.muted {
			list = append(list, owner.hints.set.prefixes()...)
		}
	}
	return mergePrefixes(list), h.watch.distrusted
}

func (h *Hub) awaitRearm(ctx context.Context) {
	select {
	case <-ctx.Done():
	case <-h.rearm:
	}
}

// askRearm makes the listening connection follow the owners. The caller holds the lock.
func (h *Hub) askRearm() {
	select {
	case h.rearm <- struct{}{}:
	default:
	}
}

// arm takes in that a session tells of writes from now on. What was written before is read now, but not for
// owners whose keys were listened to without a gap.
func (h *Hub) arm(s *session, seamless bool) {
	now := time.Now()
	h.mu.Lock()
	h.watch.prefixes, h.watch.session = s.prefixes, s
	for _, owner := range h.owners {
		if owner.hints.muted {
			continue
		}
		if seamless && owner.hints.covered && covers(s.prefixes, owner.hints.set.prefixes()) {
			continue
		}
		owner.hints.cover(s.prefixes, now)
		owner.hints.readAt = now
		owner.tracker.unwatched = now
		if owner.unheard() {
			h.askRearm()
		}
	}
	trusted := !h.watch.distrusted
	h.mu.Unlock()
	if trusted {
		h.setPushed(true, "")
	}
	h.poke()
}

func (h *Hub) disarm() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.watch.prefixes, h.watch.session = nil, nil
	for _, owner := range h.owners {
		owner.hints.covered = false
	}
}

// pushed takes in that keys were written; nil stands for any.
func (h *Hub) pushed(keys []string) {
	pushesTotal.Add(1)
	now := time.Now()
	h.mu.Lock()
	if keys == nil { // FLUSHALL, or a replica that takes in another's data
		for _, owner := range h.owners {
			owner.tracker.lost = true
		}
	}
	concerned := h.watchersOf(keys)
	read := false
	for _, watcher := range concerned {
		read = h.hint(watcher, now) || read
	}
	mended := h.watch.distrusted && len(concerned) > 0
	if mended {
		h.watch.distrusted = false
		for _, owner := range h.owners {
			owner.tracker.unwatched = now
		}
	}
	h.mu.Unlock()
	if mended {
		h.setPushed(true, "")
	}
	if read {
		h.poke()
	}
}

// watchersOf are the owners that want to hear of keys; all of them for nil. The caller holds the lock.
func (h *Hub) watchersOf(keys []string) []watcher {
	var concerned []watcher
	if keys == nil {
		for _, owner := range h.owners {
			concerned = append(concerned, watcher{owner, true})
		}
	}
	index := h.indexed()
	for _, key := range keys {
		concerned = append(concerned, index[key]...)
		for _, owner := range h.watch.wide {
			if strings.HasPrefix(key, owner.hints.set.allJobs) {
				concerned = append(concerned, watcher{owner, true})
			}
		}
	}
	return concerned
}

// indexed is the index of the owners' keys, made anew after a change.
func (h *Hub) indexed() map[string][]watcher {
	if h.watch.index != nil {
		return h.watch.index
	}
	h.watch.index, h.watch.wide = map[string][]watcher{}, nil
	for _, owner := range h.owners {
		for _, key := range owner.hints.set.jobs {
			h.watch.index[key] = append(h.watch.index[key], watcher{owner, true})
		}
		for _, key := range owner.hints.set.others {
			h.watch.index[key] = append(h.watch.index[key], watcher{owner, false})
		}
		if owner.hints.set.allJobs != "" {
			h.watch.wide = append(h.watch.wide, owner)
		}
	}
	return h.watch.index
}

// judge looks whether a push has come since, late, for a change that a look has found. If not,
// pushes do not arrive: something between swallows them.
func (h *Hub) judge(o *owner, since time.Time) {
	h.mu.Lock()
	missed := h.owners[o.id] == o && o.hints.covered && o.hints.last.Before(since)
	if missed {
		h.watch.distrusted = true
		h.askRearm()
		soon := time.Now().Add(unpushedPeriod)
		for _, owner := range h.owners {
			if owner.next.After(soon) {
				owner.next, owner.early = soon, soon
			}
		}
	}
	h.mu.Unlock()
	if missed {
		h.setPushed(false, "Redis changed without telling, so something between holds its pushes back")
		h.poke()
	}
}

// unwatched reports whether an owner's jobs may run with nobody to see. The caller holds the lock.
func (h *Hub) unwatched(o *owner) bool {
	return o.tracker.blind && (!o.hints.covered || h.watch.distrusted)
}

// setPushed notes whether changes are pushed, and tells all owners if that is new.
func (h *Hub) setPushed(pushed bool, why string) {
	h.mu.Lock()
	if h.watch.pushed == pushed && h.watch.why == why {
		h.mu.Unlock()
		return
	}
	h.watch.pushed, h.watch.why = pushed, why
	owners := make([]*owner, 0, len(h.owners))
	for _, owner := range h.owners {
		if owner.tracker.snapshot.Known() {
			owners = append(owners, owner)
		}
	}
	h.mu.Unlock()
	for _, owner := range owners {
		owner.changed(false)
	}
}

// awaitPushes waits until the pushes are in that tell of what was written before a read. If they do
// not come in time something may have gone unseen.
func (h *Hub) awaitPushes(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, pushPatience)
	defer cancel()
	for last := h.inForce(); ; {
		if last == nil || last.barrier(ctx) == nil {
			return
		}
		next := h.inForce()
		if next == nil || next == last {
			break
		}
		last = next // which took over without a gap, or arm has noted one
	}
	h.unwatch()
}

func (h *Hub) inForce() *session {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.watch.session
}

// unwatch notes that something may have gone unseen until now.
func (h *Hub) unwatch() {
	now := time.Now()
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, owner := range h.owners {
		owner.tracker.unwatched = now
	}
}
