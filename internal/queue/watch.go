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
	barrier  barrier
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

// listenOn keeps a connection listening for as long as some owner wants to hear of its keys.
func (h *Hub) listenOn(ctx context.Context) {
	failures := 0
	for ctx.Err() == nil {
		prefixes := h.wanted()
		if len(prefixes) == 0 {
			h.awaitRearm(ctx)
			continue
		}
		armed, err := h.listenOnce(ctx, prefixes)
		if armed {
			failures = 0
		}
		if err != nil && ctx.Err() == nil {
			sleep(ctx, h.listenFailed(err, failures))
			failures++
		}
	}
}

// listenOnce listens until the connection breaks, which is an error, or the wanted prefixes change.
func (h *Hub) listenOnce(ctx context.Context, prefixes []string) (armed bool, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	session := &session{hub: h, prefixes: prefixes, ended: make(chan struct{})}
	go func() {
		defer close(session.ended)
		err = h.listen(ctx, prefixes, session)
	}()
	if session.awaitRearm() {
		cancel()
		<-session.ended
		err = nil
	}
	h.disarm()
	return session.wasArmed.Load(), err
}

// awaitRearm waits until other prefixes are wanted, and not for the first time in rearmPeriod. It
// says whether they are: else the connection has ended.
func (s *session) awaitRearm() bool {
	start := time.Now()
	select {
	case <-s.ended:
		return false
	case <-s.hub.rearm:
	}
	select {
	case <-s.ended:
		return false
	case <-time.After(rearmPeriod - time.Since(start)):
		return true
	}
}

// session is one listening connection's way to tell the Hub.
type session struct {
	hub      *Hub
	prefixes []string
	wasArmed atomic.Bool
	ended    chan struct{}
}

func (s *session) armed(barrier barrier) {
	s.wasArmed.Store(true)
	s.hub.arm(s.prefixes, barrier)
}

func (s *session) pushed(keys []string) { s.hub.pushed(keys) }

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
// to read with: the first is the reader's. What asked for them until now has its answer.
func (h *Hub) wanted() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	select {
	case <-h.rearm:
	default:
	}
	if h.full {
		return nil
	}
	var list []string
	for _, owner := range h.owners {
		if !owner.hints.muted {
			list = append(list, owner.hints.set.prefixes()...)
		}
	}
	return mergePrefixes(list)
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

// arm takes in that Redis tells of writes from now on. What was written before is read now.
func (h *Hub) arm(prefixes []string, barrier barrier) {
	now := time.Now()
	h.mu.Lock()
	h.watch.prefixes, h.watch.barrier = prefixes, barrier
	for _, owner := range h.owners {
		owner.hints.cover(prefixes, now)
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
	h.watch.prefixes, h.watch.barrier = nil, nil
	for _, owner := range h.owners {
		owner.hints.covered = false
	}
}

// pushed takes in that keys were written; nil stands for any.
func (h *Hub) pushed(keys []string) {
	pushesTotal.Add(1)
	now := time.Now()
	h.mu.Lock()
	concerned := h.watchersOf(keys)
	read := false
	for _, watcher := range concerned {
		read = h.hint(watcher, now) || read
	}
	mended := h.watch.distrusted && len(concerned) > 0
	if mended {
		h.watch.distrusted = false
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
	h.mu.Lock()
	barrier := h.watch.barrier
	h.mu.Unlock()
	if barrier == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, pushPatience)
	defer cancel()
	if barrier(ctx) == nil {
		return
	}
	now := time.Now()
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, owner := range h.owners {
		owner.tracker.unwatched = now
	}
}
