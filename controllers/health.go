package controllers

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
)

const (
	// aliveWithin is how long nothing at all may be reconciled while jobs wait: then every worker hangs, and only a
	// new process helps. A Redis, a Heroku or an API server that hangs is given up long before.
	aliveWithin = 3 * time.Minute
	// wakingWithin is how long an object whose jobs wait may wait for a worker that looks at it.
	wakingWithin = time.Minute
)

// Health is what the probes ask. It is of use before there is a manager.
type Health struct {
	mu      sync.Mutex
	lacks   string // what is not synced yet; empty if all is
	begun   bool
	wakeups *wakeups
}

// Alive returns an error if only a new process helps.
func (h *Health) Alive() error {
	if w := h.source(); w != nil && w.stuck(time.Now()) >= aliveWithin {
		return errors.New("jobs wait, and nothing is reconciled")
	}
	return nil
}

// Waking returns an error if jobs wait for a worker of the operator itself.
func (h *Health) Waking() error {
	if w := h.source(); w != nil {
		if waited := w.longest(time.Now()); waited >= wakingWithin {
			return fmt.Errorf("jobs have waited for %s to be looked at", waited.Round(time.Second))
		}
	}
	return nil
}

// Synced returns an error until all is known that this replica needs: a standby knows all QueueScalers, and the
// leader their Secrets as well. A right that is missing shows here.
func (h *Health) Synced() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case !h.begun:
		return errors.New("the API server has not answered yet")
	case h.lacks != "":
		return fmt.Errorf("not all %s are known: may the operator list and watch them in all of its namespaces?", h.lacks)
	}
	return nil
}

func (h *Health) source() *wakeups {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.wakeups
}

func (h *Health) lack(what string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.begun, h.lacks = true, what
}

// follow has the manager tell of its caches.
func (h *Health) follow(mgr ctrl.Manager, w *wakeups) error {
	if h == nil {
		return nil
	}
	h.mu.Lock()
	h.wakeups = w
	h.mu.Unlock()
	h.lack("QueueScalers")
	return mgr.Add(&cacheWatcher{health: h, manager: mgr})
}

// cacheWatcher runs on every replica.
type cacheWatcher struct {
	health  *Health
	manager ctrl.Manager
}

// NeedLeaderElection says that a standby is watched as well.
func (c *cacheWatcher) NeedLeaderElection() bool { return false }

// Start watches the caches until they are synced.
func (c *cacheWatcher) Start(ctx context.Context) error {
	if !c.manager.GetCache().WaitForCacheSync(ctx) {
		return nil
	}
	c.health.lack("")
	select {
	case <-ctx.Done():
		return nil
	case <-c.manager.Elected():
	}
	c.health.lack("Secrets")
	metadata := &metav1.PartialObjectMetadata{}
	metadata.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("Secret"))
	for ctx.Err() == nil {
		if informer, err := c.manager.GetCache().GetInformer(ctx, metadata, cache.BlockUntilSynced(false)); err == nil && informer.HasSynced() {
			c.health.lack("")
			break
		}
		select {
		case <-ctx.Done():
		case <-time.After(time.Second):
		}
	}
	return nil
}
