package e2e

import (
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"github.com/queuescaler/queuescaler/internal/heroku/simulator"
)

const specTimeout = 4 * time.Minute

var _ = Describe("the main job", func() {
	It("starts workers for a job and stops them when the queue is idle", func(ctx SpecContext) {
		a := newSidekiqApp(ctx, map[string][]string{"worker": {"default"}})
		a.scale(ctx, "worker", []string{"default"})
		a.enqueue(ctx, "default", 3, 100*time.Millisecond, 0)
		a.awaitQuantity(ctx, "worker", 2)
		a.awaitEvents(ctx, "end", 3)
		a.awaitQuantity(ctx, "worker", 0)
		a.awaitGone(ctx)

		Expect(a.judge()).To(BeEmpty())
		Expect(a.quantities("worker")).To(Equal([]int{2, 0}))
		Eventually(ctx, func(g Gomega) {
			status := a.status(ctx, g, "worker")
			g.Expect(status.DesiredQuantity).To(HaveValue(BeEquivalentTo(0)))
			g.Expect(status.Quantity).To(HaveValue(BeEquivalentTo(0)))
			g.Expect(status.LastWakeTime).NotTo(BeNil())
		}).Should(Succeed())
	}, SpecTimeout(specTimeout))

	It("keeps a worker whose job takes longer than the idle timeout", func(ctx SpecContext) {
		a := newSidekiqApp(ctx, map[string][]string{"worker": {"default"}})
		a.scale(ctx, "worker", []string{"default"})
		a.enqueue(ctx, "default", 1, 50*time.Second, 0)
		a.awaitQuantity(ctx, "worker", 2)
		a.awaitQuantity(ctx, "worker", 0)
		a.awaitGone(ctx)

		Expect(a.judge()).To(BeEmpty())
		Expect(a.quantities("worker")).To(Equal([]int{2, 0}))
	}, SpecTimeout(specTimeout))

	It("sleeps before a scheduled job is due, and wakes for it", func(ctx SpecContext) {
		a := newSidekiqApp(ctx, map[string][]string{"worker": {"default"}})
		a.enqueue(ctx, "default", 1, 0, 100*time.Second)
		due := time.Now().Add(100 * time.Second)
		a.enqueue(ctx, "default", 1, 0, 0)
		a.scale(ctx, "worker", []string{"default"})
		a.awaitQuantity(ctx, "worker", 2)
		a.awaitQuantity(ctx, "worker", 0)
		Expect(time.Now()).To(BeTemporally("<", due.Add(-wakeLead)), "the workers should sleep before the job is due")
		a.awaitQuantity(ctx, "worker", 2)
		a.awaitEvents(ctx, "end", 2)
		a.awaitQuantity(ctx, "worker", 0)
		a.awaitGone(ctx)

		Expect(a.judge()).To(BeEmpty())
		Expect(a.quantities("worker")).To(Equal([]int{2, 0, 2, 0}))
	}, SpecTimeout(specTimeout))

	It("keeps workers until a failed job was retried", func(ctx SpecContext) {
		a := newSidekiqApp(ctx, map[string][]string{"worker": {"default"}})
		a.scale(ctx, "worker", []string{"default"})
		jobs, err := a.sidekiq.EnqueueFailing(ctx, "default")
		Expect(err).NotTo(HaveOccurred())
		a.jobs = append(a.jobs, jobs...)
		a.awaitEvents(ctx, "failed", 1)
		a.awaitEvents(ctx, "end", 1)
		a.awaitQuantity(ctx, "worker", 0)
		a.awaitGone(ctx)

		Expect(a.judge()).To(BeEmpty())
		Expect(eventsOf(a.log(), "start")).To(HaveLen(2))
	}, SpecTimeout(specTimeout))

	It("works through a burst of 500 jobs", func(ctx SpecContext) {
		a := newSidekiqApp(ctx, map[string][]string{"worker": {"default"}})
		a.scale(ctx, "worker", []string{"default"})
		a.enqueue(ctx, "default", 500, 5*time.Millisecond, 0)
		a.awaitEvents(ctx, "end", 500)
		a.awaitQuantity(ctx, "worker", 0)
		a.awaitGone(ctx)

		Expect(a.judge()).To(BeEmpty())
		Expect(a.quantities("worker")).To(Equal([]int{2, 0}))
	}, SpecTimeout(specTimeout))

	It("lets one process type sleep beside another that is always busy", func(ctx SpecContext) {
		a := newSidekiqApp(ctx, map[string][]string{"worker": {"default"}, "heavy": {"heavy"}})
		a.scale(ctx, "worker", []string{"default"})
		a.scale(ctx, "heavy", []string{"heavy"})
		a.enqueue(ctx, "heavy", 10, 75*time.Second, 0)
		a.enqueue(ctx, "default", 1, 0, 0)
		a.awaitQuantity(ctx, "heavy", 2)
		a.awaitQuantity(ctx, "worker", 2)
		a.awaitQuantity(ctx, "worker", 0)
		Expect(w.heroku.Quantity(a.name, "heavy")).To(Equal(2), "the busy one must not be stopped")
		Expect(eventsOf(a.log(), "end")).To(HaveLen(1), "the heavy jobs still run")
		a.awaitEvents(ctx, "end", 11)
		a.awaitQuantity(ctx, "heavy", 0)
		a.awaitGone(ctx)

		Expect(a.judge()).To(BeEmpty())
	}, SpecTimeout(specTimeout))

	// What polling cannot prove: a job pushed and taken between the last look and the stop. It is the
	// one interruption that the operator may cause; Sidekiq puts the job back.
	It("starts workers again for a job that came between the last look and the stop", func(ctx SpecContext) {
		a := newSidekiqApp(ctx, map[string][]string{"worker": {"default"}}, "-t", "3")
		a.beforeStop(func() {
			defer GinkgoRecover()
			a.enqueue(ctx, "default", 1, 10*time.Second, 0)
			a.awaitEvents(ctx, "start", 2)
		})
		a.scale(ctx, "worker", []string{"default"})
		a.enqueue(ctx, "default", 1, 0, 0)
		a.awaitQuantity(ctx, "worker", 2)
		a.awaitQuantity(ctx, "worker", 0)
		a.awaitQuantity(ctx, "worker", 2)
		a.awaitEvents(ctx, "end", 2)
		a.awaitQuantity(ctx, "worker", 0)
		a.awaitGone(ctx)

		Expect(a.judge()).To(HaveLen(1), "interrupted between the last look and the stop")
	}, SpecTimeout(specTimeout))

	It("leaves a person's larger quantity until idle, and repairs a smaller one", func(ctx SpecContext) {
		a := newSidekiqApp(ctx, map[string][]string{"worker": {"default"}})
		a.addWebhook(ctx)
		a.scale(ctx, "worker", []string{"default"})
		a.enqueue(ctx, "default", 4, 60*time.Second, 0)
		a.awaitQuantity(ctx, "worker", 2)
		a.awaitEvents(ctx, "start", 4)
		Expect(w.heroku.Scale(a.name, "worker", 5)).To(Succeed())
		Eventually(ctx, func(g Gomega) any { return a.status(ctx, g, "worker").Quantity }).Should(HaveValue(BeEquivalentTo(5)))
		Expect(w.heroku.Scale(a.name, "worker", 1)).To(Succeed()) // interrupts what runs on worker.2
		a.awaitQuantity(ctx, "worker", 2)
		a.awaitEvents(ctx, "end", 4)
		a.awaitQuantity(ctx, "worker", 0)
		a.awaitGone(ctx)

		// The person's own ps:scale worker=1 interrupts jobs; the operator must not.
		interrupted := a.judge()
		GinkgoWriter.Printf("interrupted by ps:scale: %d of 4 jobs\n", len(interrupted))
		for _, event := range w.heroku.Events() {
			if event.App == a.name && event.Kind == simulator.Scaled && event.Method != "" {
				Expect(event.NewQuantity == 0 || event.NewQuantity >= event.OldQuantity).To(BeTrue(),
					"the operator lowered %d to %d", event.OldQuantity, event.NewQuantity)
			}
		}
	}, SpecTimeout(specTimeout))
})
