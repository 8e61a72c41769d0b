package controllers

import (
	"context"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/priorityqueue"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

// wakePriority lets an object whose jobs wait overtake all others.
const wakePriority = 1000

// wakeups is a source of the controller: it puts objects into its workqueue when their queues
// change, or when another object's going concerns them.
type wakeups struct {
	mu    sync.Mutex
	queue workqueue.TypedRateLimitingInterface[reconcile.Request]
	// waking says since when the jobs of objects wait, until their workers are called.
	waking map[types.NamespacedName]time.Time
	// begun is when an object was last reconciled.
	begun time.Time
	// news are of the objects' apps, until they are reconciled.
	news map[types.NamespacedName]news
}

// Start takes the workqueue. Nobody can be waiting yet, since objects are watched only when they
// are reconciled.
func (w *wakeups) Start(_ context.Context, queue workqueue.TypedRateLimitingInterface[reconcile.Request]) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.queue, w.waking, w.news = queue, map[types.NamespacedName]time.Time{}, map[types.NamespacedName]news{}
	return nil
}

// begin notes that an object is reconciled, and returns the news of its app.
func (w *wakeups) begin(name types.NamespacedName) news {
	w.mu.Lock()
	defer w.mu.Unlock()
	told := w.news[name]
	w.begun = time.Now()
	delete(w.news, name)
	return told
}

// served notes that the workers for an object's jobs are called, or need not be.
func (w *wakeups) served(name types.NamespacedName) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.waking, name)
}

// tell has an object take in news of its app.
func (w *wakeups) tell(name types.NamespacedName, told news) {
	w.mu.Lock()
	if w.news != nil {
		w.news[name] = told.after(w.news[name])
	}
	w.mu.Unlock()
	w.enqueue(name, false)
}

// more says whether jobs of other objects wait for workers that are not called yet.
func (w *wakeups) more() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.waking) > 0
}

// longest is how long the jobs have waited that have waited longest for their workers to be called.
func (w *wakeups) longest(now time.Time) time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	var longest time.Duration
	for _, since := range w.waking {
		longest = max(longest, now.Sub(since))
	}
	return longest
}

// stuck is for how long jobs have waited and nothing at all was reconciled.
func (w *wakeups) stuck(now time.Time) time.Duration {
	waited := w.longest(now)
	w.mu.Lock()
	defer w.mu.Unlock()
	return min(waited, now.Sub(w.begun))
}

func (w *wakeups) enqueue(name types.NamespacedName, wake bool) {
	w.mu.Lock()
	queue := w.queue
	if wake && queue != nil && w.waking[name].IsZero() {
		w.waking[name] = time.Now()
	}
	w.mu.Unlock()
	request := ctrl.Request{NamespacedName: name}
	if priority, ok := queue.(priorityqueue.PriorityQueue[reconcile.Request]); ok && wake {
		priority.AddWithOpts(priorityqueue.AddOpts{Priority: ptr.To(wakePriority)}, request)
		return
	}
	if queue != nil {
		queue.Add(request)
	}
}

// beingDeleted lets updates of objects through that wait for their finalizer.
type beingDeleted struct{ predicate.Funcs }

func (beingDeleted) Update(e event.UpdateEvent) bool { return isDeleted(e.ObjectNew) }

func isDeleted(object client.Object) bool { return !object.GetDeletionTimestamp().IsZero() }
