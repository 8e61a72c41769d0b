package e2e

import (
	"net/http"
	"sync"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/queuescaler/queuescaler/internal/heroku/simulator"
)

// The leader is killed at a moment around the PATCH to zero; a second replica takes over.
var _ = Describe("two replicas", func() {
	// during runs a cycle with two replicas. The leader dies when install's callback is called.
	during := func(ctx SpecContext, install func(a *sidekiqApp, kill func())) {
		a := newSidekiqApp(ctx, map[string][]string{"worker": {"default"}})
		second := w.startOperator(ctx)
		leader := w.operator
		w.operator = second // the first one is the leader, and will not see the end
		var once sync.Once
		killed := make(chan struct{})
		install(a, func() {
			once.Do(func() {
				leader.Kill()
				close(killed)
			})
		})
		a.scale(ctx, "worker", []string{"default"})
		a.enqueue(ctx, "default", 2, 100*time.Millisecond, 0)
		a.awaitEvents(ctx, "end", 2)
		Eventually(ctx, killed).Should(BeClosed())
		a.enqueue(ctx, "default", 2, 100*time.Millisecond, 0)
		a.awaitEvents(ctx, "end", 4)
		a.awaitQuantity(ctx, "worker", 0)
		a.awaitGone(ctx)
		Expect(a.judge()).To(BeEmpty())
	}

	isStop := func(a *sidekiqApp, request *http.Request) bool {
		return request.Method == http.MethodPatch && w.heroku.Quantity(a.name, "worker") > 0
	}

	It("survive the leader's death between idle and zero", func(ctx SpecContext) {
		during(ctx, func(a *sidekiqApp, kill func()) {
			go func() {
				defer GinkgoRecover()
				Eventually(ctx, func(g Gomega) {
					status := a.status(ctx, g, "worker")
					g.Expect(status.LastWakeTime).NotTo(BeNil())
					g.Expect(status.IdleStartTime).NotTo(BeNil())
				}).Should(Succeed())
				kill()
			}()
		})
	}, SpecTimeout(specTimeout))

	It("survive the leader's death just before the PATCH", func(ctx SpecContext) {
		during(ctx, func(a *sidekiqApp, kill func()) {
			DeferCleanup(w.heroku.BeforeRequest(func(request *http.Request) {
				if isStop(a, request) {
					kill()
				}
			}))
		})
	}, SpecTimeout(specTimeout))

	It("survive the leader's death just after the PATCH", func(ctx SpecContext) {
		during(ctx, func(a *sidekiqApp, kill func()) {
			DeferCleanup(w.heroku.AfterRequest(func(request simulator.Request) {
				if request.Method == http.MethodPatch && w.heroku.Quantity(a.name, "worker") == 0 {
					kill()
				}
			}))
		})
	}, SpecTimeout(specTimeout))
})
