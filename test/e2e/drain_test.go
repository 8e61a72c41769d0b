package e2e

import (
	"context"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/queuescaler/queuescaler/api/v1"
)

func quiet(s *v1.QueueScaler) { s.Spec.Drain.Mode = v1.DrainQuiet }

var _ = Describe("a drain", func() {
	// The counterpart of the spec without a drain, where this job is interrupted.
	It("interrupts no job that comes between the last look and the stop", func(ctx SpecContext) {
		a := newSidekiqApp(ctx, map[string][]string{"worker": {"default"}}, "-t", "3")
		a.beforeStop(func() {
			defer GinkgoRecover()
			a.enqueue(ctx, "default", 1, 10*time.Second, 0)
		})
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

	// ended has the leader die in the middle of a drain.
	ended := func(ctx SpecContext, die func(a *sidekiqApp, kill func())) {
		a := succeed(ctx, die, quiet)
		Eventually(ctx, func(g Gomega) { g.Expect(a.status(ctx, g, "worker").DrainStartTime).To(BeNil()) }).Should(Succeed())
	}

	It("is ended by another replica when the leader dies at its beginning", func(ctx SpecContext) {
		ended(ctx, func(a *sidekiqApp, kill func()) {
			go func() {
				defer GinkgoRecover()
				a.awaitDrain(ctx)
				kill()
			}()
		})
	}, SpecTimeout(specTimeout))

	It("is ended by another replica when the leader dies before the stop", func(ctx SpecContext) {
		ended(ctx, (*sidekiqApp).beforeStop)
	}, SpecTimeout(specTimeout))

	It("is ended by another replica when the leader dies after the stop", func(ctx SpecContext) {
		ended(ctx, (*sidekiqApp).afterStop)
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
