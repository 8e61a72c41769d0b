package queue

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/queuescaler/queuescaler/test/redisserver"
)

// TestBurstyNeighbourIsNoGap has a neighbour's queue be flooded and calm down again and again: a quiet
// owner's worker stays heard, as no write could have gone unseen.
func TestBurstyNeighbourIsNoGap(t *testing.T) {
	watchTest(t, func(t *testing.T, hub *Hub, fake *fakeRedis) {
		var busy atomic.Bool
		fake.set(func(l *look) {
			l.result.Heartbeats = true
			l.result.Processes = []Process{{Identity: "worker.1:4:x", HeardAgo: 3 * time.Second}}
			if l.owner.id == "b" && busy.Load() {
				l.result.Depth = 5
			}
		})
		pass(time.Minute)
		since, listens, proven := hub.Snapshot("a").IdleSince, fake.connections(), 0
		const bursts = 20
		for range bursts {
			busy.Store(true)
			for range flood + 1 {
				fake.push("queue:b")
			}
			pass(2 * rearmPeriod)
			busy.Store(false)
			pass(3 * period)
			if s := hub.Snapshot("a"); s.Heard && s.IdleSince.Equal(since) {
				proven++
			}
		}
		if n := fake.connections() - listens; n < bursts || proven != bursts {
			t.Errorf("%d connections, proven idle %d of %d times", n, proven, bursts)
		}
	})
}

// TestNoRoomForTwo has a server that takes one listening connection and no more.
func TestNoRoomForTwo(t *testing.T) {
	for name, refusal := range map[string]error{
		"it is full":          &Error{Kind: Full, Message: messageFull},
		"it breaks each time": errors.New("broken"),
	} {
		t.Run(name, func(t *testing.T) {
			watchTest(t, func(t *testing.T, hub *Hub, fake *fakeRedis) {
				fake.most = refusal
				before := time.Now()
				watchQueue(t, hub, "c", func(bool) {})
				pass(3 * rearmPeriod)
				s := hub.Snapshot("c")
				if !covers(fake.listensTo(), []string{"queue:a", "queue:c"}) || !s.Pushed || hub.owners["a"].tracker.unwatched.Before(before) {
					t.Errorf("prefixes %v, %+v", fake.listensTo(), s)
				}
			})
		})
	}
}

// TestEndOfBoth has the old connection break while the new one is being armed.
func TestEndOfBoth(t *testing.T) {
	watchTest(t, func(t *testing.T, hub *Hub, fake *fakeRedis) {
		old := fake.broken
		fake.mu.Lock()
		fake.arms = false
		fake.mu.Unlock()
		watchQueue(t, hub, "c", func(bool) {})
		pass(rearmPeriod)
		before := time.Now()
		old <- errSpent
		synctest.Wait()
		fake.mu.Lock()
		fake.arms = true
		to := fake.to
		fake.mu.Unlock()
		to.armed(fake.sync)
		pass(time.Second)
		if unwatched := hub.owners["a"].tracker.unwatched; unwatched.Before(before) {
			t.Errorf("nothing listened, and nobody noted it: %v", before.Sub(unwatched))
		}
	})
}

// TestRearmingLosesNothing has owners come and go, each time with other keys to listen to, while jobs of
// another one are pushed and taken at once: each job is activity, and no gap is noted.
func TestRearmingLosesNothing(t *testing.T) {
	t.Parallel()
	server := redisserver.StartT(t, redisserver.Options{})
	client, worker := clientOf(t, server.URL()), clientOf(t, server.URL())
	w := startWatching(t, server.URL(), two)
	w.armed(t)
	see(t, w.hub, "a")
	w.hub.mu.Lock()
	unwatched := w.hub.owners["a"].tracker.unwatched
	w.hub.mu.Unlock()
	first, jobs, unseen := w.hub.inForce(), 0, 0
	for rearms := 0; rearms < 5; {
		id := fmt.Sprint("other", rearms)
		if err := w.hub.Watch(id, Spec{System: List, Names: []string{id}, Period: time.Hour}, func(bool) {}); err != nil {
			t.Fatal(err)
		}
		taken := make(chan error)
		go func() { taken <- worker.BRPop(context.Background(), 0, "queue:default").Err() }()
		before := time.Now()
		enqueue(t, client)
		if err := <-taken; err != nil {
			t.Fatal(err)
		}
		jobs++
		if s := see(t, w.hub, "a"); !s.IdleSince.After(before) {
			unseen++
		}
		if now := w.hub.inForce(); now != first {
			first, rearms = now, rearms+1
		}
	}
	w.hub.mu.Lock()
	defer w.hub.mu.Unlock()
	if unseen > 0 || !w.hub.owners["a"].tracker.unwatched.Equal(unwatched) {
		t.Errorf("%d of %d jobs went unseen; unwatched until %v, then %v", unseen, jobs, unwatched, w.hub.owners["a"].tracker.unwatched)
	}
	t.Logf("%d jobs", jobs)
}
