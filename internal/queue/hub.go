package queue

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// Changed tells an owner that its snapshot changed in a way that matters; wake says that jobs wait
// now and did not before. It must not block.
type Changed func(wake bool)

// Hub watches one Redis server for all its owners. A single goroutine reads, so that one connection
// and one pipeline serve them all: whoever wants to know more, sooner, marks its owner as due.
type Hub struct {
	read  func(context.Context, []*look)
	close func() error

	mu     sync.Mutex
	owners map[string]*owner
	// failures counts the reads in a row that the connection failed.
	failures int

	due  chan struct{} // holds one token when the schedule changed
	stop context.CancelFunc
	done chan struct{}
}

// owner is one subscriber.
type owner struct {
	id      string
	spec    Spec
	reader  reader
	tracker tracker
	changed Changed
	next    time.Time       // when to read again
	early   time.Time       // from when on to read if others are read anyway
	waiting []chan struct{} // closed when a read that began after they came is done
}

// look is one owner's part of a read.
type look struct {
	owner  *owner
	waited []chan struct{}
	result Observation
	step   step
	err    *Error
	broken bool // the error is the connection's
}

// NewHub starts to watch the Redis server at the endpoint. It connects when it has an owner.
func NewHub(endpoint Endpoint) *Hub {
	client := endpoint.client()
	return startHub(func(ctx context.Context, looks []*look) { readAll(ctx, client, looks) }, client.Close)
}

func startHub(read func(context.Context, []*look), closer func() error) *Hub {
	ctx, cancel := context.WithCancel(context.Background())
	hub := &Hub{
		read:   read,
		close:  closer,
		owners: map[string]*owner{},
		due:    make(chan struct{}, 1),
		stop:   cancel,
		done:   make(chan struct{}),
	}
	go hub.run(ctx)
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
	h.owners[id] = &owner{id: id, spec: spec, reader: reader, changed: changed, tracker: tracker{maxGap: 3*spec.Period + settleTime}}
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
	}
}

// Snapshot returns the last that is known of an owner's queues.
func (h *Hub) Snapshot(id string) Snapshot {
	h.mu.Lock()
	defer h.mu.Unlock()
	if known, ok := h.owners[id]; ok {
		return known.tracker.snapshot
	}
	return Snapshot{}
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
	defer close(h.done)
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
			if ctx.Err() != nil {
				return // what a closing hub could not read is no news
			}
			h.takeIn(looks)
		}
		timer.Reset(h.untilNext(time.Now()))
	}
}

// dueLooks begins a look for every owner that is due, or nearly: what is read together costs less.
func (h *Hub) dueLooks(now time.Time) []*look {
	h.mu.Lock()
	defer h.mu.Unlock()
	var looks []*look
	for _, owner := range h.owners {
		if len(owner.waiting) == 0 && owner.early.After(now) {
			continue
		}
		l := &look{owner: owner, waited: owner.waiting, result: Observation{Start: now}}
		l.step = owner.reader.look(&l.result)
		owner.waiting = nil
		looks = append(looks, l)
	}
	return looks
}

// takeIn stores what the looks found, plans the next ones and tells the owners.
func (h *Hub) takeIn(looks []*look) {
	now := time.Now()
	var tell []func()
	h.mu.Lock()
	h.countFailures(looks)
	for _, l := range looks {
		last := l.owner.tracker.snapshot
		if l.err != nil {
			l.owner.tracker.failed(l.err)
		} else {
			l.result.End = now
			l.owner.tracker.saw(l.result)
		}
		delay := h.delay(l)
		l.owner.next, l.owner.early = now.Add(delay), now.Add(delay-delay/8)
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

func (h *Hub) countFailures(looks []*look) {
	if slices.ContainsFunc(looks, func(l *look) bool { return l.broken }) {
		h.failures++
	} else {
		h.failures = 0
	}
}

// longestRetry bounds the wait after failures, so that work is seen soon after an outage.
const longestRetry = 15 * time.Second

// delay is the time to an owner's next look, with jitter, so that many owners and servers spread.
func (h *Hub) delay(l *look) time.Duration {
	delay := l.owner.spec.Period
	if l.broken {
		delay = min(longestRetry, time.Second<<min(h.failures, 4))
	}
	return delay - delay/10 + rand.N(delay/5+1)
}

func (h *Hub) untilNext(now time.Time) time.Duration {
	h.mu.Lock()
	defer h.mu.Unlock()
	next := now.Add(time.Hour)
	for _, owner := range h.owners {
		if owner.next.Before(next) {
			next = owner.next
		}
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

// readTimeout bounds a read of all owners that are due, its round trips together.
const readTimeout = 20 * time.Second

// readAll makes the looks, all their round trips side by side.
func readAll(ctx context.Context, client *redis.Client, looks []*look) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	for {
		b := newBatch()
		pending := looks[:0:0]
		for _, l := range looks {
			if l.advance(b) {
				pending = append(pending, l)
			}
		}
		if len(pending) == 0 {
			return
		}
		if err := b.exec(ctx, client); err != nil {
			for _, l := range pending {
				l.err, l.broken, l.step = classify(err, ""), true, nil
			}
			return
		}
	}
}

// advance runs the look's next step, and says whether it has one more.
func (l *look) advance(b *batch) bool {
	if l.step == nil {
		return false
	}
	next, err := l.step(b)
	if err != nil {
		l.err = classify(err, "")
		next = nil
	}
	l.step = next
	return next != nil
}
