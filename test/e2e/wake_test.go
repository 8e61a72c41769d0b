package e2e

import (
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	v1 "github.com/queuescaler/queuescaler/api/v1"
)

// seldom has the queue be polled so seldom that only a push can start workers within a spec. Nobody has used the
// queue yet.
func seldom(s *v1.QueueScaler) { s.Spec.PollPeriodSeconds, s.Spec.Queue.MayBeAbsent = 300, true }

var _ = Describe("a push from Redis", func() {
	It("starts workers for a job", func(ctx SpecContext) {
		a := newSidekiqApp(ctx, map[string][]string{"worker": {"default"}})
		a.scale(ctx, "worker", []string{"default"}, seldom)
		a.awaitPushed(ctx, "worker")
		a.enqueue(ctx, "default", 3, 100*time.Millisecond, 0)
		a.awaitEvents(ctx, "end", 3)
		a.awaitQuantity(ctx, "worker", 2)
		Eventually(ctx, func(g Gomega) {
			g.Expect(a.status(ctx, g, "worker").WorkerStartSeconds).NotTo(BeNil())
		}).Should(Succeed())
	}, SpecTimeout(specTimeout))

	It("tells of a job that was put on the schedule", func(ctx SpecContext) {
		a := newSidekiqApp(ctx, map[string][]string{"worker": {"default"}})
		a.scale(ctx, "worker", []string{"default"}, seldom)
		a.awaitPushed(ctx, "worker")
		a.enqueue(ctx, "default", 1, 0, wakeLead+5*time.Second)
		a.awaitQuantity(ctx, "worker", 2)
		a.awaitEvents(ctx, "end", 1)
		Expect(a.judge()).To(BeEmpty())
	}, SpecTimeout(specTimeout))
})

// awaitPushed waits until Redis tells the operator of the queue's changes.
func (a *app) awaitPushed(ctx SpecContext, processType string) {
	GinkgoHelper()
	Eventually(ctx, func(g Gomega) {
		g.Expect(a.status(ctx, g, processType).Conditions).To(ContainElement(And(
			HaveField("Type", v1.ConditionQueueReachable), HaveField("Message", HavePrefix("Redis pushes")))))
	}).Should(Succeed())
}
