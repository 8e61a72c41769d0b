package e2e

import (
	"net/http"
	"sync"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	v1 "github.com/queuescaler/queuescaler/api/v1"
	"github.com/queuescaler/queuescaler/internal/heroku/simulator"
)

// The leader is killed at a moment around the PATCH to zero; a second replica takes over.
var _ = Describe("two replicas", func() {
	It("survive the leader's death between idle and zero", func(ctx SpecContext) {
		succeed(ctx, func(a *sidekiqApp, kill func()) {
			go func() {
				defer GinkgoRecover()
				a.awaitEvents(ctx, "end", 2) // the idle timeout has just begun
				kill()
			}()
		})
	}, SpecTimeout(specTimeout))

	It("survive the leader's death just before the PATCH", func(ctx SpecContext) {
		succeed(ctx, (*sidekiqApp).beforeStop)
	}, SpecTimeout(specTimeout))

	It("survive the leader's death just after the PATCH", func(ctx SpecContext) {
		succeed(ctx, (*sidekiqApp).afterStop)
	}, SpecTimeout(specTimeout))
})

// succeed runs a cycle with two replicas. The leader dies when the callback that die gets is called; the other
// replica must end the cycle.
func succeed(ctx SpecContext, die func(a *sidekiqApp, kill func()), changes ...func(*v1.QueueScaler)) *sidekiqApp {
	a := newSidekiqApp(ctx, map[string][]string{"worker": {"default"}}, "-t", "3")
	second, leader := w.startOperator(ctx), w.operator
	w.operator = second // the first one is the leader, and will not see the end
	var once sync.Once
	killed := make(chan struct{})
	die(a, func() {
		once.Do(func() {
			leader.Kill()
			close(killed)
		})
	})
	a.scale(ctx, "worker", []string{"default"}, changes...)
	a.enqueue(ctx, "default", 2, 100*time.Millisecond, 0)
	a.awaitEvents(ctx, "end", 2)
	Eventually(ctx, killed).Should(BeClosed())
	a.enqueue(ctx, "default", 2, 100*time.Millisecond, 0)
	a.awaitEvents(ctx, "end", 4)
	a.awaitQuantity(ctx, "worker", 0)
	a.awaitGone(ctx)
	Expect(a.judge()).To(BeEmpty())
	return a
}

// beforeStop has something done when Heroku first gets a PATCH while workers run, and before it acts on it.
func (a *sidekiqApp) beforeStop(do func()) {
	var once sync.Once
	DeferCleanup(w.heroku.BeforeRequest(func(request *http.Request) {
		if request.Method == http.MethodPatch && w.heroku.Quantity(a.name, "worker") > 0 {
			once.Do(do)
		}
	}))
}

// afterStop has something done when Heroku has stopped the workers.
func (a *sidekiqApp) afterStop(do func()) {
	DeferCleanup(w.heroku.AfterRequest(func(request simulator.Request) {
		if request.Method == http.MethodPatch && w.heroku.Quantity(a.name, "worker") == 0 {
			do()
		}
	}))
}
