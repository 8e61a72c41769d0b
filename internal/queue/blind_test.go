package queue

import (
	"errors"
	"testing"
	"time"
)

// TestBlindCountsFromTheGap has jobs that Redis does not show while they run: each gap in listening restarts
// the idle clock, and without listening nobody can say that none runs.
func TestBlindCountsFromTheGap(t *testing.T) {
	for name, spec := range map[string]Spec{
		"a list":            {System: List, Names: []string{"a"}, Period: period},
		"a sorted set":      {System: SortedSet, Names: []string{"a"}, Period: period},
		"early Celery":      {System: Celery, Names: []string{"a"}, Period: period, EarlyAck: true},
		"shown in a list":   {System: List, Names: []string{"a"}, ProcessingKeys: []string{"busy"}, Period: period},
		"late Celery":       {System: Celery, Names: []string{"a"}, Period: period},
		"Sidekiq, by beats": {System: Sidekiq, Names: []string{"a"}, Period: period},
	} {
		t.Run(name, func(t *testing.T) {
			blind := spec.blind()
			hubTest(t, func(t *testing.T, hub *Hub, fake *fakeRedis) {
				fake.arms = true
				if err := hub.Watch("x", spec, func(bool) {}); err != nil {
					t.Fatal(err)
				}
				pass(time.Minute)
				since := hub.Snapshot("x").IdleSince
				gap := time.Now()
				fake.tearDown(errSpent)
				if s := hub.Snapshot("x"); s.Unwatched || s.IdleSince.Before(gap) == blind || (!blind && !s.IdleSince.Equal(since)) {
					t.Errorf("after a gap: idle since %v before it, %+v", gap.Sub(s.IdleSince), s)
				}
				fake.mu.Lock()
				fake.refuses = refusal{errors.New("NOPERM")}
				fake.mu.Unlock()
				fake.tearDown(errSpent)
				pass(time.Minute)
				if s := hub.Snapshot("x"); s.Unwatched != blind || s.NotPushed == "" {
					t.Errorf("while nothing listens: %+v", s)
				}
			})
		})
	}
}

// TestBlindIsToldOfTheEnd has an owner look while nothing listens, for less long than it takes to the next
// read: that it is listened to again is told.
func TestBlindIsToldOfTheEnd(t *testing.T) {
	hubTest(t, func(t *testing.T, hub *Hub, fake *fakeRedis) {
		fake.arms = true
		told := 0
		if err := hub.Watch("x", Spec{System: List, Names: []string{"a"}, Period: period}, func(bool) { told++ }); err != nil {
			t.Fatal(err)
		}
		pass(time.Minute)
		fake.mu.Lock()
		fake.arms = false
		fake.mu.Unlock()
		fake.tearDown(errSpent)
		if !hub.Snapshot("x").Unwatched {
			t.Fatal("nothing listens, and the snapshot does not say so")
		}
		before := told
		fake.mu.Lock()
		to := fake.to
		fake.mu.Unlock()
		to.armed(fake.sync)
		pass(time.Second)
		if hub.Snapshot("x").Unwatched || told == before {
			t.Errorf("told %d times: %+v", told-before, hub.Snapshot("x"))
		}
	})
}
