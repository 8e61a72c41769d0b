package controllers

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

// TestHealth has a wake wait for the operator itself: first it is not ready, then it is not alive.
func TestHealth(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, h := &wakeups{}, &Health{}
		if h.Alive() != nil || h.Waking() != nil || h.Synced() == nil {
			t.Error("before there is a manager it is alive and not ready")
		}
		queue := workqueue.NewTypedRateLimitingQueue(workqueue.DefaultTypedControllerRateLimiter[reconcile.Request]())
		defer queue.ShutDown()
		_ = w.Start(context.Background(), queue)
		h.wakeups = w
		h.lack("Secrets")
		if err := h.Synced(); err == nil || !strings.Contains(err.Error(), "Secrets") {
			t.Error(err)
		}
		h.lack("")
		expect := func(alive, ready bool, when string) {
			t.Helper()
			if (h.Alive() == nil) != alive || (h.Waking() == nil) != ready || h.Synced() != nil {
				t.Errorf("%s: %v, %v, %v", when, h.Alive(), h.Waking(), h.Synced())
			}
		}
		one, other := types.NamespacedName{Name: "one"}, types.NamespacedName{Name: "other"}
		time.Sleep(time.Hour)
		expect(true, true, "nothing waits")
		w.enqueue(one, true)
		time.Sleep(59 * time.Second)
		w.enqueue(one, true)
		expect(true, true, "a wake waits")
		time.Sleep(time.Second)
		expect(true, false, "a wake waits for a minute")
		w.begin(other)
		time.Sleep(179 * time.Second)
		expect(true, false, "others are looked at")
		time.Sleep(time.Second)
		expect(false, false, "nothing is looked at")
		w.begin(one)
		w.served(one)
		expect(true, true, "it was served")
	})
}

// TestNewsAreKeptUntilUsed: what a webhook told was gone when the reconcile that took it read nothing.
func TestNewsAreKeptUntilUsed(t *testing.T) {
	t.Parallel()
	s := idleScope()
	s.takeNews(news{at: epoch.Add(time.Second), formation: true, quantity: ptr.To(3)})
	s.takeNews(news{})
	if !s.outdated() {
		t.Fatal("the news are lost")
	}
	s.takeNews(news{at: epoch.Add(2 * time.Second), released: true})
	if !s.outdated() || *s.news.quantity != 3 || !s.news.released {
		t.Fatalf("%+v", s.news)
	}
	s.memory.configVar.readAt = epoch.Add(time.Minute)
	s.takeNews(news{})
	if s.news.released {
		t.Error("a release is told again after the config var was read")
	}
	s.memory.news.formation = false // as know does
	s.takeNews(news{at: epoch.Add(2 * time.Minute), released: true})
	if s.outdated() {
		t.Error("news are used twice")
	}
}

// TestAStopThatIsDue: a quantity that was to be stopped and could not be was told as kept at 0.
func TestAStopThatIsDue(t *testing.T) {
	t.Parallel()
	s := idleScope()
	s.memory.quantity, s.snapshot.Heartbeats = ptr.To(2), false
	s.decide()
	s.stopHeld = true
	c := s.activeCondition()
	if !strings.Contains(c.message, "2 run and are to be stopped") || !strings.Contains(c.message, "API server") {
		t.Errorf("%+v", c)
	}
	if next := (&Reconciler{}).next(s); next > stopRecheck {
		t.Errorf("looked at again in %s", next)
	}
}

// TestHeldCallsAreNoFailures: calls that were not made lengthened the pauses after those that failed.
func TestHeldCallsAreNoFailures(t *testing.T) {
	t.Parallel()
	var r retries
	held := &problem{class: limited, held: true, retryAfter: time.Second}
	for range 10 {
		r.failed(held, epoch)
		r.startFailed(held, epoch)
	}
	r.startFailed(&problem{class: transient}, epoch)
	if wait := r.wakeAt.Sub(epoch); r.failures != 1 || wait > time.Second {
		t.Errorf("%d failures, the next start in %s", r.failures, wait)
	}
}
