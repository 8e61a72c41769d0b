package queue

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"
)

// Changed tells an owner that its snapshot changed in a way that matters; wake says that jobs wait
// now and did not before. It must not block.
type Changed func(wake bool)

// Hub watches one Redis server for all its owners. A single goroutine reads, so that one connection
// and one pipeline serve them all: whoever wants to know more, sooner, marks its owner as due.
type Hub struct {
	read   func(context.Context, []*look)
	listen func(context.Context, []string, listener) error
	signal func(ctx context.Context, keys []string) error
	close  func() error

	mu     sync.Mutex
	owners map[string]*owner
	watch  watchState
	// failures counts the reads in a row that the connection failed.
	failures int
	// full says that there was no connection free to read with.
	full bool

	due   chan struct{} // holds one token when the schedule changed
	rearm chan struct{} // holds one when what is to be listened to did
	stop  context.CancelFunc
	done  chan struct{}
}

// owner is one subscriber.
type owner struct {
	id      string
	spec    Spec
	reader  reader
	tracker tracker
	hints   hints
	changed Changed
	next    time.Time       // when to read again
	early   time.Time       // from when on to read if others are polled
	waiting []chan struct{} // closed when a read that began after they came is done
}

// look is one owner's part of a read.
type look struct {
	owner  *owner
	waited []chan struct{}
	hinted bool // a push asked for it
	result Observation
	step   step
	err    *Error
	broken bool // the error is the connection's
	// renewal says whether the server is still the one of the look before.
	renewal renewal
}

// NewHub starts to watch the Redis server at the endpoint. It connects when it has an owner.
func NewHub(endpoint Endpoint) *Hub {
	connection := endpoint.connect()
	hub := startHub(connection.read, connection.listen, connection.client.Close)
	hub.signal = connection.quiet
	return hub
}

func startHub(read func(context.Context, []*look), listen func(context.Context, []string, listener) error, closer func() error) *Hub {
	ctx, cancel := context.WithCancel(context.Background())
	hub := &Hub{
		read:   read,
		listen: listen,
		close:  closer,
		owners: map[string]*owner{},
		due:    make(chan struct{}, 1),
		rearm:  make(chan struct{}, 1),
		stop:   cancel,
		done:   make(chan struct{}),
	}
	var both sync.WaitGroup
	both.Go(func() { hub.run(ctx) })
	both.Go(func() { hub.listenOn(ctx) })
	go func() {
		both.Wait()
		close(hub.done)
	}()
	return hub
}

// Close stops watching and closes the connection.
func (h *Hub) Close() error {
	h.stop()
	<-h.done
	return h.close()
}

// Watch makes the Hub read the queues of the spec for an owner, now and then every spec.Period, and
// tell of changes that matter. For an owner that is there already a changed spec starts afresh, an
// equal one does nothing.
func (h *Hub) Watch(id string, spec Spec, changed Changed) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	known, ok := h.owners[id]
	if ok && known.spec.equal(spec) {
		return nil
	}
	reader, err := newReader(spec)
	if err != nil {
		return err
	}
	if ok {
		known.release()
	}
	added := &owner{id: id, spec: spec, reader: reader, changed: changed, tracker: tracker{maxGap: 3*spec.Period + settleTime, blind: spec.blind()}}
	added.hints.set = reader.watched()
	added.hints.cover(h.watch.prefixes, time.Now())
	h.owners[id], h.watch.index = added, nil
	if added.unheard() {
		h.askRearm()
	}
	h.poke()
	return nil
}

// Forget ends the watch of an owner.
func (h *Hub) Forget(id string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if known, ok := h.owners[id]; ok {
		known.release()
		delete(h.owners, id)
		h.watch.index = nil
		if len(h.owners) == 0 {
			h.askRearm()
		}
	}
}

// Snapshot returns the last that is known of an owner's queues.
func (h *Hub) Snapshot(id string) Snapshot {
	h.mu.Lock()
	defer h.mu.Unlock()
	known, ok := h.owners[id]
	if !ok {
		return Snapshot{}
	}
	known.tracker.snapshot.Unwatched = h.unwatched(known) // kept, so that the owner is told when it ends
	snapshot := known.tracker.snapshot
	snapshot.IdleSince = known.tracker.idleAfterGap(snapshot.IdleSince)
	snapshot.Pushed, snapshot.NotPushed = h.watch.pushed, h.watch.why
	snapshot.Period = h.period(known)
	return snapshot
}

// Observe reads an owner's queues now and returns what it found. The read begins after the call.
// The error is the context's; what went wrong with Redis is in the snapshot.
func (h *Hub) Observe(ctx context.Context, id string) (Snapshot, error) {
	read := make(chan struct{})
	h.mu.Lock()
	known, ok := h.owners[id]
	if !ok {
		h.mu.Unlock()
		return Snapshot{}, errors.New("queue: not watched")
	}
	known.waiting = append(known.waiting, read)
	h.poke()
	h.mu.Unlock()
	select {
	case <-read:
		return h.Snapshot(id), nil
	case <-h.done:
		return Snapshot{}, errors.New("queue: the hub is closed")
	case <-ctx.Done():
		return Snapshot{}, ctx.Err()
	}
}

// poke makes the goroutine look at its schedule again.
func (h *Hub) poke() {
	select {
	case h.due <- struct{}{}:
	default:
	}
}

func (h *Hub) run(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-h.due:
		case <-timer.C:
		}
		if looks := h.dueLooks(time.Now()); len(looks) > 0 {
			h.read(ctx, looks)
			if slices.ContainsFunc(looks, func(l *look) bool { return len(l.waited) > 0 || l.renewal == maybeAnother }) {
				h.awaitPushes(ctx)
			}
			if ctx.Err() != nil {
				return // what a closing hub could not read is no news
			}
			h.takeIn(looks)
		}
		timer.Reset(h.untilNext(time.Now()))
	}
}

// dueLooks begins a look for every owner that somebody waits for, or that a push was for. If one is to
// be polled, those go along whose turn is not far: what is read together costs less.
func (h *Hub) dueLooks(now time.Time) []*look {
	h.mu.Lock()
	defer h.mu.Unlock()
	polling := false
	for _, owner := range h.owners {
		polling = polling || !owner.next.After(now)
	}
	var looks []*look
	for _, owner := range h.owners {
		hinted := owner.hints.due(now)
		if len(owner.waiting) == 0 && !hinted && (!polling || owner.early.After(now)) {
			continue
		}
		l := &look{owner: owner, waited: owner.waiting, hinted: hinted, result: Observation{Start: now}}
		l.step = owner.reader.look(&l.result)
		owner.waiting = nil
		owner.hints.reading(now, hinted)
		looks = append(looks, l)
	}
	return looks
}

// takeIn stores what the looks found, plans the next ones and tells the owners.
func (h *Hub) takeIn(looks []*look) {
	now := time.Now()
	spread := jitter() // one for all, so that owners that were read together stay together
	var tell []func()
	h.mu.Lock()
	h.countFailures(looks)
	h.noteRenewal(looks)
	for _, l := range looks {
		last := l.owner.tracker.snapshot
		if l.err != nil {
			l.owner.tracker.failed(l.err)
		} else {
			l.result.End = now
			l.owner.tracker.saw(l.result)
			l.owner.tracker.snapshot.Unwatched = h.unwatched(l.owner)
			h.compare(l.owner, last)
		}
		h.heed(l.owner, l.hinted)
		delay := onPulse(now, spread.of(h.delay(l)))
		early := delay / 2
		if l.broken {
			early = delay // others must not hurry a retry
		}
		l.owner.next, l.owner.early = now.Add(delay), now.Add(early)
		if changed, wake := matters(last, l.owner.tracker.snapshot); changed && h.owners[l.owner.id] == l.owner {
			tell = append(tell, func() { l.owner.changed(wake) })
		}
	}
	h.mu.Unlock()
	for _, l := range looks {
		for _, waiting := range l.waited {
			close(waiting)
		}
	}
	for _, changed := range tell {
		changed()
	}
}

// noteRenewal takes in that the reader's connection is another, for all owners. If the server does not say
// which process it is, an owner that was listened to since its last look is sure that it is the same: a
// server that ends breaks both connections.
func (h *Hub) noteRenewal(looks []*look) {
	found := sameServer
	for _, l := range looks {
		found = max(found, l.renewal)
	}
	if found == sameServer {
		return
	}
	for _, owner := range h.owners {
		last := owner.tracker.snapshot
		if !last.End.IsZero() && (found == otherServer || !owner.heardSince(last.Start)) {
			owner.tracker.lost = true
		}
	}
}

func (h *Hub) countFailures(looks []*look) {
	if slices.ContainsFunc(looks, func(l *look) bool { return l.broken }) {
		h.failures++
	} else {
		h.failures = 0
	}
	full := slices.ContainsFunc(looks, func(l *look) bool { return l.broken && l.err.Kind == Full })
	if full != h.full {
		h.full = full
		h.askRearm()
	}
}

// longestRetry bounds the wait after failures, so that work is seen soon after an outage.
const longestRetry = 15 * time.Second

// bootingPeriod is the longest time between two reads while workers boot. It is that of the shortest
// heartbeats, so that the one that is seen first was the first.
const bootingPeriod = 5 * time.Second

// awaitsWorkers says whether jobs wait and no worker is heard, where workers can be heard.
func (s Snapshot) awaitsWorkers() bool {
	return s.Known() && s.Heartbeats && s.Depth > 0 && s.Live() == 0
}

// delay is the time to an owner's next look.
func (h *Hub) delay(l *look) time.Duration {
	delay := l.owner.spec.Period
	switch {
	case l.broken:
		delay = min(longestRetry, time.Second<<min(h.failures-1, 4))
	case h.watch.distrusted:
		delay = h.period(l.owner)
	case l.owner.tracker.snapshot.awaitsWorkers():
		delay = min(delay, bootingPeriod)
	}
	return delay
}

// period is the time between two looks of an owner, when all is well with the reading of its queues.
func (h *Hub) period(o *owner) time.Duration {
	if h.watch.distrusted {
		return min(o.spec.Period, unpushedPeriod)
	}
	return o.spec.Period
}

func (h *Hub) untilNext(now time.Time) time.Duration {
	h.mu.Lock()
	defer h.mu.Unlock()
	next := now.Add(time.Hour)
	for _, owner := range h.owners {
		next = earliest(next, earliest(owner.next, owner.hints.readAt))
	}
	return max(0, next.Sub(now))
}

// release lets those go who wait for a read that will not come.
func (o *owner) release() {
	for _, waiting := range o.waiting {
		close(waiting)
	}
	o.waiting = nil
}
