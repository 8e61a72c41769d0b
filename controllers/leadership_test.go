package controllers

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"k8s.io/client-go/tools/leaderelection/resourcelock"
)

// lock is one whose writes can fail.
type lock struct {
	resourcelock.Interface
	failure error
	takes   time.Duration
}

func (l *lock) Identity() string { return "me" }
func (l *lock) Create(context.Context, resourcelock.LeaderElectionRecord) error {
	time.Sleep(l.takes)
	return l.failure
}
func (l *lock) Update(ctx context.Context, record resourcelock.LeaderElectionRecord) error {
	return l.Create(ctx, record)
}

func TestLeadership(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		inner := &lock{}
		leadership := NewLeadership(2*time.Second, 50*time.Second)
		watched := leadership.Watch(inner)
		mine := resourcelock.LeaderElectionRecord{HolderIdentity: "me"}
		expect := func(fresh bool, when string) {
			t.Helper()
			if leadership.Fresh() != fresh {
				t.Errorf("%s: fresh is %v", when, !fresh)
			}
		}
		expect(false, "before the lease is taken")
		_ = watched.Create(t.Context(), mine)
		expect(true, "with the lease")
		time.Sleep(9 * time.Second)
		_ = watched.Update(t.Context(), mine)
		time.Sleep(9 * time.Second)
		expect(true, "after a renewal")
		inner.failure = errors.New("the API server is away")
		_ = watched.Update(t.Context(), mine)
		time.Sleep(time.Second)
		expect(false, "after 10 s without")
		if !leadership.Held() {
			t.Error("the lease is not held for as long as it may be renewed")
		}
		inner.failure, inner.takes = nil, 8*time.Second
		_ = watched.Update(t.Context(), mine)
		expect(true, "after a slow renewal")
		time.Sleep(2 * time.Second)
		expect(false, "10 s after a slow renewal began")
		inner.takes = 0
		_ = watched.Update(t.Context(), mine)
		_ = watched.Update(t.Context(), resourcelock.LeaderElectionRecord{})
		expect(false, "after it was let go")
		if !(*Leadership)(nil).Fresh() {
			t.Error("without leader election nothing is stopped")
		}
	})
}
