package lease_test

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"pgregory.net/rapid"

	"github.com/queuescaler/queuescaler/internal/lease"
)

// resource remembers what happened to it.
type resource struct {
	key    int
	closed atomic.Int32
}

// journal opens resources and lists what is opened and closed, in order.
type journal struct {
	fail   error
	events []string
	opened []*resource
}

func (j *journal) open(key int) (*resource, error) {
	if j.fail != nil {
		return nil, j.fail
	}
	r := &resource{key: key}
	j.opened = append(j.opened, r)
	j.events = append(j.events, fmt.Sprint("open ", key))
	return r, nil
}

func (j *journal) close(r *resource) {
	r.closed.Add(1)
	j.events = append(j.events, fmt.Sprint("close ", r.key))
}

func acquire(t *testing.T, r *lease.Registry[int, *resource], owner string, key int) *resource {
	t.Helper()
	got, err := r.Acquire(owner, key)
	if err != nil {
		t.Fatalf("Acquire(%q, %d): %v", owner, key, err)
	}
	return got
}

func TestOwnersShareOneResource(t *testing.T) {
	j := &journal{}
	r := lease.NewRegistry(j.open, j.close)

	a := acquire(t, r, "a", 1)
	if b := acquire(t, r, "b", 1); a != b {
		t.Error("two owners of one key got different resources")
	}
	if again := acquire(t, r, "a", 1); again != a {
		t.Error("acquiring again gave another resource")
	}

	r.Release("a")
	r.Release("a")
	if n := a.closed.Load(); n != 0 || r.Len() != 1 {
		t.Errorf("with one owner left: closed %d times, Len %d", n, r.Len())
	}
	r.Release("b")
	if n := a.closed.Load(); n != 1 || r.Len() != 0 {
		t.Errorf("with no owner left: closed %d times, Len %d", n, r.Len())
	}
}

func TestSoleOwnerAcquiringAgainDoesNotReopen(t *testing.T) {
	j := &journal{}
	r := lease.NewRegistry(j.open, j.close)
	acquire(t, r, "a", 1)
	acquire(t, r, "a", 1)
	if want := []string{"open 1"}; !slices.Equal(j.events, want) {
		t.Errorf("events %v, want %v", j.events, want)
	}
}

func TestMovingOpensBeforeItCloses(t *testing.T) {
	j := &journal{}
	r := lease.NewRegistry(j.open, j.close)
	acquire(t, r, "a", 1)
	acquire(t, r, "a", 2)
	if want := []string{"open 1", "open 2", "close 1"}; !slices.Equal(j.events, want) {
		t.Errorf("events %v, want %v", j.events, want)
	}
}

func TestOpenErrorLeavesNothingBehind(t *testing.T) {
	j := &journal{}
	r := lease.NewRegistry(j.open, j.close)
	held := acquire(t, r, "a", 1)

	j.fail = errors.New("refused")
	if _, err := r.Acquire("a", 2); !errors.Is(err, j.fail) {
		t.Errorf("error %v, want %v", err, j.fail)
	}
	if r.Len() != 1 || held.closed.Load() != 0 {
		t.Error("a failed move cost the owner what it held")
	}

	j.fail = nil
	acquire(t, r, "b", 2)
	if r.Len() != 2 {
		t.Errorf("Len %d after opening at last, want 2", r.Len())
	}
}

func TestCloseMayBlockAndCallTheRegistry(t *testing.T) {
	var r *lease.Registry[int, int]
	lens := make(chan int, 1)
	r = lease.NewRegistry(
		func(key int) (int, error) { return key, nil },
		func(int) { lens <- r.Len() },
	)
	if _, err := r.Acquire("a", 1); err != nil {
		t.Fatal(err)
	}
	r.Release("a")
	if n := <-lens; n != 0 {
		t.Errorf("Len %d while closing, want 0", n)
	}
}

// The registry agrees with a map from owner to key: a resource is open exactly
// while somebody owns its key, and is opened and closed once.
func TestRegistryFollowsItsOwners(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		j := &journal{}
		r := lease.NewRegistry(j.open, j.close)
		held := map[string]*resource{}
		owner := rapid.SampledFrom([]string{"a", "b", "c", "d"})

		t.Repeat(map[string]func(*rapid.T){
			"acquire": func(t *rapid.T) {
				o, key := owner.Draw(t, "owner"), rapid.IntRange(1, 3).Draw(t, "key")
				j.fail = nil
				if rapid.Bool().Draw(t, "fails") {
					j.fail = errors.New("refused")
				}
				got, err := r.Acquire(o, key)
				if err != nil {
					return
				}
				if got.key != key {
					t.Fatalf("got the resource of %d, want %d", got.key, key)
				}
				held[o] = got
			},
			"release": func(t *rapid.T) {
				o := owner.Draw(t, "owner")
				r.Release(o)
				delete(held, o)
			},
			"": func(t *rapid.T) { checkOpened(t, r, j, held) },
		})
	})
}

func checkOpened(t *rapid.T, r *lease.Registry[int, *resource], j *journal, held map[string]*resource) {
	owned := map[*resource]bool{}
	perKey := map[int]*resource{}
	for o, res := range held {
		if other := perKey[res.key]; other != nil && other != res {
			t.Fatalf("%s holds a second resource of key %d", o, res.key)
		}
		owned[res], perKey[res.key] = true, res
	}
	if r.Len() != len(owned) {
		t.Fatalf("Len %d, want %d", r.Len(), len(owned))
	}
	for _, res := range j.opened {
		want := int32(1)
		if owned[res] {
			want = 0
		}
		if got := res.closed.Load(); got != want {
			t.Fatalf("resource of key %d closed %d times, want %d", res.key, got, want)
		}
	}
}

func TestConcurrentOwners(t *testing.T) {
	var open atomic.Int32
	r := lease.NewRegistry(
		func(key int) (*resource, error) { open.Add(1); return &resource{key: key}, nil },
		func(res *resource) {
			if res.closed.Add(1) == 1 {
				open.Add(-1)
			}
		},
	)
	var wg sync.WaitGroup
	for i := range 8 {
		owner := fmt.Sprint("owner-", i%6) // two owners appear twice
		wg.Go(func() {
			for n := range 200 {
				res, err := r.Acquire(owner, (n+i)%3)
				if err != nil || res.key != (n+i)%3 {
					t.Errorf("Acquire: %v, %v", res, err)
				}
				if n%4 == 0 {
					r.Release(owner)
				}
			}
			r.Release(owner)
		})
	}
	wg.Wait()
	for i := range 6 {
		r.Release(fmt.Sprint("owner-", i))
	}
	if r.Len() != 0 || open.Load() != 0 {
		t.Errorf("Len %d, %d resources open, want none", r.Len(), open.Load())
	}
}
