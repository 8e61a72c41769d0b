package queue

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

// watchTest runs a Hub with an owner of queue:a and one of queue:b on a fake Redis that pushes.
func watchTest(t *testing.T, test func(t *testing.T, hub *Hub, fake *fakeRedis)) {
	t.Helper()
	hubTest(t, func(t *testing.T, hub *Hub, fake *fakeRedis) {
		fake.arms = true
		for _, name := range []string{"a", "b"} {
			watchQueue(t, hub, name, func(bool) {})
		}
		pass(3 * rearmPeriod)
		test(t, hub, fake)
	})
}

func watchQueue(t *testing.T, hub *Hub, name string, changed Changed) {
	t.Helper()
	if err := hub.Watch(name, Spec{System: Sidekiq, Names: []string{name}, Period: period, DueHorizon: time.Minute}, changed); err != nil {
		t.Fatal(err)
	}
}

// push tells of writes, and lets happen what follows.
func (f *fakeRedis) push(keys ...string) {
	f.mu.Lock()
	to := f.to
	f.mu.Unlock()
	to.pushed(keys)
	synctest.Wait()
}

// tearDown breaks the listening connection.
func (f *fakeRedis) tearDown(err error) {
	f.mu.Lock()
	f.broken <- err
	f.mu.Unlock()
	synctest.Wait()
}

// fill has every look of an owner find so many jobs.
func (f *fakeRedis) fill(id string, depth int64) {
	f.set(func(l *look) {
		if l.owner.id == id {
			l.result.Depth = depth
		}
	})
}

func TestPushMakesRead(t *testing.T) {
	watchTest(t, func(t *testing.T, hub *Hub, fake *fakeRedis) {
		if !hub.Snapshot("a").Pushed {
			t.Fatal("not pushed")
		}
		for key, want := range map[string][]string{
			"queue:a": {"a"}, "queue:b": {"b"}, "schedule": {"a", "b"}, "retry": {"a", "b"}, "queue:ab": nil, "other": nil,
		} {
			pass(3 * longestPause)
			reads := fake.count()
			fake.push(key)
			if want == nil {
				if fake.count() != reads {
					t.Errorf("%s made a read", key)
				}
				continue
			}
			if fake.count() != reads+1 || !slices.Equal(fake.asksFrom(reads)[0], want) {
				t.Errorf("%s: %d reads, of %v", key, fake.count()-reads, fake.asksFrom(reads))
			}
		}
	})
}

// TestArmThenObserve has every owner be read after the connection is armed, each time anew.
func TestArmThenObserve(t *testing.T) {
	watchTest(t, func(t *testing.T, hub *Hub, fake *fakeRedis) {
		for range 3 {
			reads, listens := fake.count(), fake.connections()
			fake.tearDown(errSpent)
			if fake.connections() != listens+1 || fake.count() != reads+1 || !slices.Equal(fake.asksFrom(reads)[0], []string{"a", "b"}) {
				t.Fatalf("%d connections, reads of %v", fake.connections()-listens, fake.asksFrom(reads))
			}
		}
		reads := fake.count()
		fake.to.pushed(nil) // FLUSHALL
		synctest.Wait()
		if fake.count() != reads+1 || !slices.Equal(fake.asksFrom(reads)[0], []string{"a", "b"}) {
			t.Errorf("after a flush: %v", fake.asksFrom(reads))
		}
	})
}

// TestWatchFollowsOwners has new owners be covered, and none be listened for when all are gone.
func TestWatchFollowsOwners(t *testing.T) {
	watchTest(t, func(t *testing.T, hub *Hub, fake *fakeRedis) {
		if want := []string{"queue:a", "queue:b", "retry", "schedule"}; !slices.Equal(fake.listensTo(), want) {
			t.Errorf("prefixes %v", fake.listensTo())
		}
		listens := fake.connections()
		for i := range 100 {
			watchQueue(t, hub, fmt.Sprint("c", i), func(bool) {})
			pass(10 * time.Millisecond)
		}
		pass(2 * rearmPeriod)
		if fake.connections()-listens > 3 || len(fake.listensTo()) > maxPrefixes || !covers(fake.listensTo(), []string{"queue:c99", "queue:a"}) {
			t.Errorf("%d connections, prefixes %v", fake.connections()-listens, fake.listensTo())
		}
		for i := range 100 {
			hub.Forget(fmt.Sprint("c", i))
		}
		hub.Forget("a")
		hub.Forget("b")
		pass(2 * rearmPeriod)
		reads := fake.count()
		fake.push("queue:a")
		pass(time.Hour)
		if fake.count() != reads {
			t.Error("it reads for nobody")
		}
	})
}

// TestIdlePushesArePaced has pushes that come to nothing, as when workers take every job at once.
func TestIdlePushesArePaced(t *testing.T) {
	watchTest(t, func(t *testing.T, hub *Hub, fake *fakeRedis) {
		reads := fake.count()
		for range 60_000 {
			fake.push("queue:a")
			time.Sleep(time.Millisecond)
		}
		if n := fake.count() - reads; n < 50 || n > 80 {
			t.Errorf("%d reads in a minute", n)
		}
		if s := hub.Snapshot("a"); time.Since(s.IdleSince) > longestPause+time.Millisecond {
			t.Errorf("idle since %v, though jobs come", s.IdleSince)
		}
		pass(3 * longestPause)
		reads = fake.count()
		fake.push("queue:a")
		if fake.count() != reads+1 {
			t.Error("after a while of calm a push is not heeded at once")
		}
	})
}

// TestFloodIsMuted has a queue that is active anyway take many pushes: the other owner stays listened
// to, and so does this one when it has calmed down.
func TestFloodIsMuted(t *testing.T) {
	watchTest(t, func(t *testing.T, hub *Hub, fake *fakeRedis) {
		fake.fill("a", 5)
		fake.push("queue:a")
		reads := fake.count()
		for range flood - 1 {
			fake.push("queue:a")
		}
		if fake.count() != reads || !covers(fake.listensTo(), []string{"queue:a"}) {
			t.Errorf("%d reads for an active queue", fake.count()-reads)
		}
		fake.push("queue:a")
		pass(2 * rearmPeriod)
		if covers(fake.listensTo(), []string{"queue:a"}) || !covers(fake.listensTo(), []string{"queue:b", "schedule"}) {
			t.Errorf("prefixes %v", fake.listensTo())
		}
		fake.set(nil)
		pass(2*period + floodRest + 2*rearmPeriod)
		if !covers(fake.listensTo(), []string{"queue:a", "queue:b"}) || !hub.Snapshot("a").Pushed {
			t.Errorf("prefixes %v after the flood", fake.listensTo())
		}
	})
}

// TestPushesRestartIdleClock counts the idle time from the last push, and wants workers heard after it.
func TestPushesRestartIdleClock(t *testing.T) {
	watchTest(t, func(t *testing.T, hub *Hub, fake *fakeRedis) {
		fake.set(func(l *look) {
			l.result.Heartbeats = true
			l.result.Processes = []Process{{Identity: "worker.1:4:x", HeardAgo: 3 * time.Second}}
		})
		pass(time.Minute)
		if s := hub.Snapshot("a"); !s.Heard {
			t.Fatalf("%+v", s)
		}
		pushed := time.Now()
		fake.push("queue:a")
		if s := hub.Snapshot("a"); !s.IdleSince.Equal(pushed) || s.Heard {
			t.Errorf("a push: %+v", s)
		}
		pass(time.Minute)
		if s := hub.Snapshot("a"); !s.IdleSince.Equal(pushed) || !s.Heard {
			t.Errorf("a minute later: %+v", s)
		}
		fake.push("schedule")
		if s := hub.Snapshot("a"); !s.IdleSince.Equal(pushed) {
			t.Errorf("a job put on the schedule is no activity: %+v", s)
		}
		fake.tearDown(errSpent)
		if s := hub.Snapshot("a"); !s.IdleSince.Equal(pushed) || s.Heard {
			t.Errorf("a job may have been pushed and taken unseen: %+v", s)
		}
		pass(time.Minute)
		fake.mu.Lock()
		fake.silent = true
		fake.mu.Unlock()
		if s, err := hub.Observe(t.Context(), "a"); err != nil || s.Heard {
			t.Errorf("pushes may be missing: %+v, %v", s, err)
		}
	})
}

// TestMissedPush has a change come without a push, with one that is late, and with pushes again.
func TestMissedPush(t *testing.T) {
	watchTest(t, func(t *testing.T, hub *Hub, fake *fakeRedis) {
		var told atomic.Int32
		watchQueue(t, hub, "c", func(bool) { told.Add(1) })
		pass(period)
		listens := fake.connections()
		fake.fill("a", 1)
		if _, err := hub.Observe(t.Context(), "a"); err != nil {
			t.Fatal(err)
		}
		pass(pushPatience / 2)
		fake.push("queue:a") // late
		pass(3 * period)
		if fake.connections() != listens || !hub.Snapshot("a").Pushed {
			t.Fatal("a late push is taken for a missing one")
		}
		before := told.Load()
		fake.fill("b", 1)
		if _, err := hub.Observe(t.Context(), "b"); err != nil {
			t.Fatal(err)
		}
		pass(pushPatience + 2*rearmPeriod)
		s := hub.Snapshot("c")
		if fake.connections() != listens+1 || s.Pushed || s.NotPushed == "" || told.Load() != before+1 {
			t.Errorf("%d connections, %+v, told %d", fake.connections()-listens, s, told.Load()-before)
		}
		reads := fake.count()
		pass(time.Minute)
		if n := fake.count() - reads; n < 10 {
			t.Errorf("%d reads in a minute without pushes", n)
		}
		fake.push("queue:c")
		if s := hub.Snapshot("c"); !s.Pushed || told.Load() != before+2 {
			t.Errorf("%+v", s)
		}
		reads = fake.count()
		pass(time.Minute)
		if n := fake.count() - reads; n > 9 {
			t.Errorf("%d reads in a minute with pushes", n)
		}
	})
}

// TestRefusedWatch polls where Redis refuses to push, says why, and asks again after a while.
func TestRefusedWatch(t *testing.T) {
	hubTest(t, func(t *testing.T, hub *Hub, fake *fakeRedis) {
		fake.refuses = refusal{errors.New("NOPERM")}
		watchQueue(t, hub, "a", func(bool) {})
		pass(time.Minute)
		if s := hub.Snapshot("a"); fake.connections() != 1 || s.Pushed || !strings.Contains(s.NotPushed, "CLIENT TRACKING") {
			t.Errorf("%d connections, %+v", fake.connections(), s)
		}
		if fake.count() < 4 {
			t.Errorf("%d reads", fake.count())
		}
		fake.mu.Lock()
		fake.refuses, fake.arms = nil, true
		fake.mu.Unlock()
		pass(refusedPeriod * 11 / 10)
		if s := hub.Snapshot("a"); fake.connections() != 2 || !s.Pushed || s.NotPushed != "" {
			t.Errorf("%d connections, %+v", fake.connections(), s)
		}
	})
}

// TestListenBacksOff has the listening connection fail for a while.
func TestListenBacksOff(t *testing.T) {
	hubTest(t, func(t *testing.T, hub *Hub, fake *fakeRedis) {
		fake.refuses = errSpent
		watchQueue(t, hub, "a", func(bool) {})
		pass(time.Minute)
		if s := hub.Snapshot("a"); fake.connections() < 4 || fake.connections() > 12 || s.Pushed || s.NotPushed == "" {
			t.Errorf("%d connections, %+v", fake.connections(), s)
		}
		fake.mu.Lock()
		fake.refuses, fake.arms = nil, true
		fake.mu.Unlock()
		pass(longestRetry * 11 / 10)
		if s := hub.Snapshot("a"); !s.Pushed {
			t.Errorf("%+v", s)
		}
	})
}

func TestMergePrefixes(t *testing.T) {
	for name, test := range map[string]struct{ list, want []string }{
		"none":          {nil, nil},
		"one":           {[]string{"queue:a"}, []string{"queue:a"}},
		"overlapping":   {[]string{"queue:a_low", "queue:a", "queue:a_high"}, []string{"queue:a"}},
		"equal":         {[]string{"schedule", "schedule"}, []string{"schedule"}},
		"all of Redis":  {[]string{"a", "", "b"}, []string{""}},
		"not too many":  {numbered(maxPrefixes), numbered(maxPrefixes)},
		"one too many":  {numbered(maxPrefixes + 1), []string{"queue:00", "queue:01", "queue:02", "queue:03", "queue:04", "queue:05", "queue:06"}},
		"a thousand":    {append(numbered(1000), "retry"), append(numbered(10, 1), "retry")},
		"different all": {letters(), []string{""}},
	} {
		if got := mergePrefixes(test.list); !slices.Equal(got, test.want) {
			t.Errorf("%s: got %v, want %v", name, got, test.want)
		}
	}
}

// numbered are queue:000 and so on, of one digit or of three.
func numbered(count int, digits ...int) []string {
	var list []string
	for i := range count {
		list = append(list, fmt.Sprintf("queue:%0*d", append(digits, 3)[0], i))
	}
	return list
}

// letters are more strings than there may be prefixes, each beginning with another byte.
func letters() []string {
	var list []string
	for i := range 2 * maxPrefixes {
		list = append(list, string([]byte{byte(i + 1)})+"queue")
	}
	return list
}

func TestMergePrefixesProperty(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		list := rapid.SliceOfN(rapid.StringMatching(`[ab]{0,3}[a-z]{0,6}`), 0, 150).Draw(r, "prefixes")
		merged := mergePrefixes(list)
		if len(merged) > maxPrefixes {
			r.Fatalf("%d prefixes", len(merged))
		}
		for i, prefix := range merged {
			for j, other := range merged {
				if i != j && strings.HasPrefix(prefix, other) {
					r.Fatalf("%q begins with %q", prefix, other)
				}
			}
		}
		for _, key := range append(list, rapid.StringMatching(`[a-c]{0,8}`).Draw(r, "key")) {
			want := slices.ContainsFunc(merged, func(prefix string) bool { return strings.HasPrefix(key, prefix) })
			if covers(merged, []string{key}) != want {
				r.Fatalf("%q covered: %v, by %q", key, !want, merged)
			}
		}
		if len(list) > 0 && !covers(merged, list) {
			r.Fatalf("%q does not cover %q", merged, list)
		}
	})
}
