package queue

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// fakeRedis stands for all of Redis below a Hub: it counts reads and fills the looks in.
type fakeRedis struct {
	mu     sync.Mutex
	takes  time.Duration
	reads  []time.Time
	asked  [][]string
	answer func(l *look)
	closed bool

	// Of the listening connection, which is only armed if arms says so.
	arms     bool
	listens  int
	prefixes []string
	to       listener
	broken   chan error
	refuses  error
	silent   bool  // barriers hang
	most     error // what a second connection beside one is told; nil if it is welcome
	open     int
}

func (f *fakeRedis) read(ctx context.Context, looks []*look) {
	f.mu.Lock()
	f.reads = append(f.reads, time.Now())
	var ids []string
	for _, l := range looks {
		ids = append(ids, l.owner.id)
		if f.answer != nil {
			f.answer(l)
		}
	}
	slices.Sort(ids)
	f.asked = append(f.asked, ids)
	takes := f.takes
	f.mu.Unlock()
	select {
	case <-time.After(takes):
	case <-ctx.Done():
	}
}

// asksFrom are the owners of each read from the nth on.
func (f *fakeRedis) asksFrom(n int) [][]string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.asked[n:])
}

// connections counts the listening connections so far.
func (f *fakeRedis) connections() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.listens
}

// listensTo are the prefixes of the last of them.
func (f *fakeRedis) listensTo() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.prefixes
}

// listen is a connection that tells what the test pushes, until the test breaks it.
func (f *fakeRedis) listen(ctx context.Context, prefixes []string, to listener) error {
	f.mu.Lock()
	f.listens++
	if f.most != nil && f.open > 0 {
		f.mu.Unlock()
		return f.most
	}
	f.prefixes, f.to, f.broken = prefixes, to, make(chan error, 1)
	err, broken, arms := f.refuses, f.broken, f.arms
	f.open++
	f.mu.Unlock()
	defer func() {
		f.mu.Lock()
		f.open--
		f.mu.Unlock()
	}()
	if err != nil {
		return err
	}
	if arms {
		to.armed(f.sync)
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case err := <-broken:
		return err
	}
}

func (f *fakeRedis) sync(ctx context.Context) error {
	f.mu.Lock()
	silent := f.silent
	f.mu.Unlock()
	if silent {
		<-ctx.Done()
		return ctx.Err()
	}
	return nil
}

func (f *fakeRedis) count() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.reads)
}

func (f *fakeRedis) set(answer func(l *look)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.answer = answer
}

// hubTest runs a Hub on a fake Redis and fake time.
func hubTest(t *testing.T, test func(t *testing.T, hub *Hub, fake *fakeRedis)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		fake := &fakeRedis{}
		hub := startHub(fake.read, fake.listen, func() error { fake.closed = true; return nil })
		test(t, hub, fake)
		if err := hub.Close(); err != nil || !fake.closed {
			t.Errorf("closed %v, %v", fake.closed, err)
		}
	})
}

// pass lets time pass, and all that is to happen meanwhile happen.
func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

const period = 15 * time.Second

var watched = Spec{System: Sidekiq, Period: period}

func watch(t *testing.T, hub *Hub, id string, changed Changed) {
	t.Helper()
	if changed == nil {
		changed = func(bool) {}
	}
	if err := hub.Watch(id, watched, changed); err != nil {
		t.Fatal(err)
	}
}

func TestHubPolls(t *testing.T) {
	hubTest(t, func(t *testing.T, hub *Hub, fake *fakeRedis) {
		pass(time.Hour)
		if fake.count() != 0 {
			t.Error("it reads without an owner")
		}
		watch(t, hub, "a", nil)
		synctest.Wait()
		if fake.count() != 1 {
			t.Errorf("%d reads at once", fake.count())
		}
		pass(time.Hour)
		pauses := map[time.Duration]bool{}
		for i := 1; i < len(fake.reads); i++ {
			pause := fake.reads[i].Sub(fake.reads[i-1])
			if pause < period*9/10-pulse || pause > period*11/10 {
				t.Errorf("a pause of %v", pause)
			}
			if read := fake.reads[i]; !read.Equal(read.Truncate(pulse)) {
				t.Errorf("a read at %v, not with the others'", read)
			}
			pauses[pause] = true
		}
		if len(fake.reads) < 200 || len(pauses) < 3 {
			t.Errorf("%d reads, %d different pauses", len(fake.reads), len(pauses))
		}
	})
}

func TestHubReadsOwnersTogether(t *testing.T) {
	hubTest(t, func(t *testing.T, hub *Hub, fake *fakeRedis) {
		for i := range 10 {
			watch(t, hub, fmt.Sprint(i), nil)
		}
		pass(time.Hour)
		looks := 0
		for _, ids := range fake.asksFrom(0) {
			looks += len(ids)
		}
		if looks < 10*200 || len(fake.asksFrom(0))*2 > looks {
			t.Errorf("%d looks in %d reads", looks, len(fake.asksFrom(0)))
		}
	})
}

// TestObserveCoalesces has many ask at once, some while a read is on its way.
func TestObserveCoalesces(t *testing.T) {
	hubTest(t, func(t *testing.T, hub *Hub, fake *fakeRedis) {
		fake.takes = time.Second
		watch(t, hub, "a", nil)
		watch(t, hub, "b", nil)
		pass(500 * time.Millisecond) // amid the first read
		called := time.Now()
		var all sync.WaitGroup
		for i := range 100 {
			all.Go(func() {
				s, err := hub.Observe(t.Context(), string("ab"[i%2]))
				if err != nil || s.Start.Before(called) {
					t.Errorf("read began at %v, asked for at %v, %v", s.Start, called, err)
				}
			})
		}
		all.Wait()
		if fake.count() != 2 {
			t.Errorf("%d reads, want the first and one for all", fake.count())
		}
	})
}

func TestObserveReadsOnlyTheOwner(t *testing.T) {
	hubTest(t, func(t *testing.T, hub *Hub, fake *fakeRedis) {
		watch(t, hub, "a", nil)
		watch(t, hub, "b", nil)
		synctest.Wait()
		pass(period / 2)
		if _, err := hub.Observe(t.Context(), "b"); err != nil {
			t.Error(err)
		}
		if last := fake.asksFrom(fake.count() - 1)[0]; !slices.Equal(last, []string{"b"}) {
			t.Errorf("asked for %v", last)
		}
	})
}

func TestObserveEnds(t *testing.T) {
	hubTest(t, func(t *testing.T, hub *Hub, fake *fakeRedis) {
		if _, err := hub.Observe(t.Context(), "nobody"); err == nil {
			t.Error("no error for one who does not watch")
		}
		fake.takes = time.Hour
		watch(t, hub, "a", nil)
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if _, err := hub.Observe(ctx, "a"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		var all sync.WaitGroup
		all.Go(func() {
			if s, err := hub.Observe(t.Context(), "a"); s.Known() {
				t.Errorf("forgotten: %+v, %v", s, err)
			}
		})
		synctest.Wait()
		hub.Forget("a")
		all.Wait()
		watch(t, hub, "a", nil)
		all.Go(func() {
			if _, err := hub.Observe(t.Context(), "a"); err == nil {
				t.Error("no error from a closed hub")
			}
		})
		synctest.Wait()
		_ = hub.Close()
		all.Wait()
	})
}

// TestWatchAfresh changes an owner's spec amid a read: what that finds is not of the new spec.
func TestWatchAfresh(t *testing.T) {
	hubTest(t, func(t *testing.T, hub *Hub, fake *fakeRedis) {
		fake.takes = time.Second
		var told atomic.Int32
		watch(t, hub, "a", func(bool) { told.Add(1) })
		synctest.Wait()
		other := watched
		other.Names = []string{"other"}
		if err := hub.Watch("a", other, func(bool) { told.Add(100) }); err != nil {
			t.Fatal(err)
		}
		pass(time.Second)
		if hub.Snapshot("a").Known() || told.Load() != 0 {
			t.Errorf("the old read is taken for the new spec's; told %d", told.Load())
		}
		pass(time.Second)
		if !hub.Snapshot("a").Known() || told.Load() != 100 || fake.count() != 2 {
			t.Errorf("told %d, %d reads", told.Load(), fake.count())
		}
		if err := hub.Watch("a", other, nil); err != nil || !hub.Snapshot("a").Known() {
			t.Errorf("an equal spec starts afresh: %v", err)
		}
		if err := hub.Watch("a", Spec{System: "Unknown"}, nil); err == nil {
			t.Error("no error for an unknown job system")
		}
		hub.Forget("a")
		if hub.Snapshot("a").Known() {
			t.Error("a forgotten owner has a snapshot")
		}
		pass(time.Hour)
		if fake.count() != 2 {
			t.Error("it reads for a forgotten owner")
		}
	})
}

func TestHubRaces(t *testing.T) {
	hubTest(t, func(t *testing.T, hub *Hub, fake *fakeRedis) {
		var all sync.WaitGroup
		for i := range 8 {
			all.Go(func() {
				for n := range 50 {
					spec := watched
					spec.Names = []string{fmt.Sprint(n % 3)}
					_ = hub.Watch(fmt.Sprint(i%4), spec, func(bool) {})
					_, _ = hub.Observe(t.Context(), fmt.Sprint((i+n)%4))
					_ = hub.Snapshot(fmt.Sprint(n % 4))
					if n%5 == 0 {
						hub.Forget(fmt.Sprint(i % 4))
					}
				}
			})
		}
		all.Wait()
	})
}

// TestHubBacksOff has the connection fail, and come back.
func TestHubBacksOff(t *testing.T) {
	hubTest(t, func(t *testing.T, hub *Hub, fake *fakeRedis) {
		fake.set(func(l *look) { l.err, l.broken = &Error{Kind: Unreachable, Message: "down"}, true })
		var told atomic.Int32
		watch(t, hub, "a", func(bool) { told.Add(1) })
		pass(10 * time.Minute)
		for i, want := range []time.Duration{1, 2, 4, 8, 15, 15, 15} {
			pause, want := fake.reads[i+1].Sub(fake.reads[i]), want*time.Second
			if pause < want*9/10-pulse || pause > want*11/10 {
				t.Errorf("pause %d is %v, want about %v", i, pause, want)
			}
		}
		if s := hub.Snapshot("a"); s.Known() || s.Err == nil || told.Load() != 1 {
			t.Errorf("%+v, told %d", s, told.Load())
		}
		fake.set(nil)
		back := time.Now()
		pass(longestRetry * 11 / 10)
		if s := hub.Snapshot("a"); !s.Known() || s.IdleSince.Before(back) || told.Load() != 2 {
			t.Errorf("%+v, told %d", s, told.Load())
		}
	})
}

// TestNewcomersDoNotHurryRetries has another owner come while the connection is failing.
func TestNewcomersDoNotHurryRetries(t *testing.T) {
	hubTest(t, func(t *testing.T, hub *Hub, fake *fakeRedis) {
		fake.set(func(l *look) { l.err, l.broken = &Error{Kind: Unreachable}, true })
		watch(t, hub, "a", nil)
		pass(time.Second)
		watch(t, hub, "b", nil)
		synctest.Wait()
		if last := fake.asksFrom(fake.count() - 1)[0]; !slices.Equal(last, []string{"b"}) {
			t.Errorf("asked for %v", last)
		}
	})
}

// TestOneOwnersError leaves the others, and the pace, alone.
func TestOneOwnersError(t *testing.T) {
	hubTest(t, func(t *testing.T, hub *Hub, fake *fakeRedis) {
		fake.set(func(l *look) {
			if l.owner.id == "a" {
				l.err = &Error{Kind: WrongType}
			}
		})
		watch(t, hub, "a", nil)
		watch(t, hub, "b", nil)
		pass(10 * period)
		if hub.Snapshot("a").Known() || !hub.Snapshot("b").Known() {
			t.Error("the wrong one is known")
		}
		if fake.count() > 2*12 {
			t.Errorf("%d reads", fake.count())
		}
	})
}

// TestHubTells tells of changes that matter, and of those only.
func TestHubTells(t *testing.T) {
	hubTest(t, func(t *testing.T, hub *Hub, fake *fakeRedis) {
		var told []bool
		watch(t, hub, "a", func(wake bool) { told = append(told, wake) })
		synctest.Wait()
		for i, state := range []struct {
			depth, inFlight int64
			want            []bool
		}{
			{0, 0, nil}, {3, 0, []bool{true}}, {9, 0, nil}, {1, 1, nil}, {0, 1, []bool{false}}, {1, 1, []bool{true}},
			{0, 0, []bool{false}}, {0, 0, nil},
		} {
			told = nil
			fake.set(func(l *look) { l.result.Depth, l.result.InFlight = state.depth, state.inFlight })
			if _, err := hub.Observe(t.Context(), "a"); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			if !slices.Equal(told, state.want) {
				t.Errorf("state %d: told %v, want %v", i, told, state.want)
			}
		}
	})
}

// TestCloseIsNoNews ends a read by closing the hub: that Redis cannot be read is not told.
func TestCloseIsNoNews(t *testing.T) {
	hubTest(t, func(t *testing.T, hub *Hub, fake *fakeRedis) {
		fake.takes = time.Hour
		fake.set(func(l *look) { l.err, l.broken = &Error{Kind: Unreachable}, true })
		watch(t, hub, "a", func(bool) { t.Error("told") })
		synctest.Wait()
		_ = hub.Close()
	})
}
