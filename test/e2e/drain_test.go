package e2e

import (
	"context"
	"net/http"
	"sync"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/queuescaler/queuescaler/api/v1"
	"github.com/queuescaler/queuescaler/internal/heroku/simulator"
)

func quiet(s *v1.QueueScaler) { s.Spec.Drain.Mode = v1.DrainQuiet }

var _ = Describe("a drain", func() {
	isStop := func(a *sidekiqApp, request *http.Request) bool {
		return request.Method == http.MethodPatch && w.heroku.Quantity(a.name, "worker") > 0
	}

	// The counterpart of the spec without a drain, where this job is interrupted.
	It("interrupts no job that comes between the last look and the stop", func(ctx SpecContext) {
		a := newSidekiqApp(ctx, map[string][]string{"worker": {"default"}}, "-t", "3")
		var once sync.Once
		DeferCleanup(w.heroku.BeforeRequest(func(request *http.Request) {
			if isStop(a, request) {
				once.Do(func() {
					defer GinkgoRecover()
					a.enqueue(ctx, "default", 1, 10*time.Second, 0)
				})
			}
		}))
		a.scale(ctx, "worker", []string{"default"}, quiet)
		a.enqueue(ctx, "default", 1, 0, 0)
		a.awaitEvents(ctx, "end", 2)
		a.awaitQuantity(ctx, "worker", 0)
		a.awaitGone(ctx)

		Expect(a.judge()).To(BeEmpty())
		Expect(a.quantities("worker")).To(Equal([]int{2, 0, 2, 0}))
	}, SpecTimeout(specTimeout))

	It("waits for a job that is taken while the workers are being told", func(ctx SpecContext) {
		a := newSidekiqApp(ctx, map[string][]string{"worker": {"default"}}, "-t", "3")
		a.scale(ctx, "worker", []string{"default"}, quiet)
		a.enqueue(ctx, "default", 1, 0, 0)
		a.awaitDrain(ctx)
		a.enqueue(ctx, "default", 1, 15*time.Second, 0)
		a.awaitEvents(ctx, "end", 2)
		a.awaitQuantity(ctx, "worker", 0)
		a.awaitGone(ctx)

		Expect(a.judge()).To(BeEmpty())
	}, SpecTimeout(specTimeout))

	// during has the leader die in the middle of a drain; a second replica must end it.
	during := func(ctx SpecContext, die func(a *sidekiqApp, kill func())) {
		a := newSidekiqApp(ctx, map[string][]string{"worker": {"default"}}, "-t", "3")
		second, leader := w.startOperator(ctx), w.operator
		w.operator = second
		var once sync.Once
		killed := make(chan struct{})
		die(a, func() {
			once.Do(func() {
				leader.Kill()
				close(killed)
			})
		})
		a.scale(ctx, "worker", []string{"default"}, quiet)
		a.enqueue(ctx, "default", 2, 100*time.Millisecond, 0)
		Eventually(ctx, killed).Should(BeClosed())
		a.enqueue(ctx, "default", 2, 100*time.Millisecond, 0)
		a.awaitEvents(ctx, "end", 4)
		a.awaitQuantity(ctx, "worker", 0)
		a.awaitGone(ctx)
		Expect(a.judge()).To(BeEmpty())
		Eventually(ctx, func(g Gomega) { g.Expect(a.status(ctx, g, "worker").DrainStartTime).To(BeNil()) }).Should(Succeed())
	}

	It("is ended by another replica when the leader dies at its beginning", func(ctx SpecContext) {
		during(ctx, func(a *sidekiqApp, kill func()) {
			go func() {
				defer GinkgoRecover()
				a.awaitDrain(ctx)
				kill()
			}()
		})
	}, SpecTimeout(specTimeout))

	It("is ended by another replica when the leader dies before the stop", func(ctx SpecContext) {
		during(ctx, func(a *sidekiqApp, kill func()) {
			DeferCleanup(w.heroku.BeforeRequest(func(request *http.Request) {
				if isStop(a, request) {
					kill()
				}
			}))
		})
	}, SpecTimeout(specTimeout))

	It("is ended by another replica when the leader dies after the stop", func(ctx SpecContext) {
		during(ctx, func(a *sidekiqApp, kill func()) {
			DeferCleanup(w.heroku.AfterRequest(func(request simulator.Request) {
				if request.Method == http.MethodPatch && w.heroku.Quantity(a.name, "worker") == 0 {
					kill()
				}
			}))
		})
	}, SpecTimeout(specTimeout))
})

// awaitDrain waits until it is written down that a drain has begun.
func (a *app) awaitDrain(ctx context.Context) {
	GinkgoHelper()
	key := a.key("worker")
	Eventually(ctx, func() bool {
		var scaler v1.QueueScaler
		return client.IgnoreNotFound(w.cluster.Get(ctx, key, &scaler)) == nil && scaler.Status.DrainStartTime != nil
	}).WithPolling(5 * time.Millisecond).Should(BeTrue())
}
