package e2e

import (
	"fmt"
	"testing"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"k8s.io/utils/ptr"

	v1 "github.com/queuescaler/queuescaler/api/v1"
	"github.com/queuescaler/queuescaler/internal/heroku/simulator"
	"github.com/queuescaler/queuescaler/test/jobclients"
)

const (
	queueName  = "default"
	longJob    = 8  // seconds, longer than the idle timeout
	longestJob = 12 // seconds, as said where Redis does not show which jobs run

	addToBull = `queue.add('job', {seconds: %g}).then(job => String(job.id))`
)

var _ = DescribeTable("a cycle from 0 to 2 and back", func(ctx SpecContext, system func(testing.TB) jobclients.System, queue v1.QueueSpec, enqueue string) {
	a, programs := newApp(), system(GinkgoTB())
	a.deploy(ctx, simulator.Process{Type: "worker", Command: programs.WorkerCommand(queueName)})
	a.scale(ctx, "worker", nil, func(scaler *v1.QueueScaler) {
		scaler.Spec.Queue = queue
		scaler.Spec.Queue.Names = []string{queueName}
	})
	client := programs.Console(GinkgoTB(), a.redisURL, queueName)
	for _, seconds := range []float64{0.1, 0.1, 0.1, longJob} {
		var job string
		client.Eval(fmt.Sprintf(enqueue, seconds), &job)
		a.jobs = append(a.jobs, job)
	}
	a.awaitQuantity(ctx, "worker", 2)
	a.awaitEvents(ctx, "end", len(a.jobs))
	a.awaitQuantity(ctx, "worker", 0)
	a.awaitGone(ctx)

	Expect(a.judge()).To(BeEmpty())
	Expect(a.quantities("worker")).To(Equal([]int{2, 0}))
},
	cycleOf("BullMQ 5", jobclients.BullMQ5, v1.QueueSpec{Type: v1.QueueBullMQ}, addToBull),
	cycleOf("BullMQ 6", jobclients.BullMQ6, v1.QueueSpec{Type: v1.QueueBullMQ}, addToBull),
	cycleOf("Bull", jobclients.Bull, v1.QueueSpec{Type: v1.QueueBull}, addToBull),
	cycleOf("Asynq", jobclients.Asynq, v1.QueueSpec{Type: v1.QueueAsynq}, `add 0 sleep %g`),
	cycleOf("RQ", jobclients.RQ, v1.QueueSpec{Type: v1.QueueRQ}, `default.enqueue(jobs.long, %g).id`),
	cycleOf("Celery, acknowledged late", jobclients.Celery, v1.QueueSpec{
		Type: v1.QueueCelery, Celery: &v1.CeleryQueue{Acknowledgement: v1.AcknowledgementLate},
	}, `late.apply_async((%g,), queue="default").id`),
	cycleOf("Celery, acknowledged early", jobclients.Celery, v1.QueueSpec{
		Type: v1.QueueCelery, Celery: &v1.CeleryQueue{Acknowledgement: v1.AcknowledgementEarly}, MaxJobSeconds: ptr.To[int32](longestJob),
	}, `early.apply_async((%g,), queue="default").id`),
	cycleOf("a stream", jobclients.Stream, v1.QueueSpec{
		Type: v1.QueueStream, Stream: &v1.StreamQueue{Group: "workers", ClaimIdleSeconds: ptr.To[int32](60)},
	}, `queue.enqueue(%g)`),
	cycleOf("a sorted set", jobclients.SortedSet, v1.QueueSpec{
		Type: v1.QueueSortedSet, MaxJobSeconds: ptr.To[int32](longestJob),
	}, `queue.enqueue(%g)`),
	cycleOf("a list", jobclients.List, v1.QueueSpec{
		Type: v1.QueueList, List: &v1.ListQueue{ProcessingKeys: []string{queueName + ":processing"}},
	}, `queue.enqueue(%g)`),
	cycleOf("a list that does not show what runs", jobclients.List, v1.QueueSpec{
		Type: v1.QueueList, MaxJobSeconds: ptr.To[int32](longestJob),
	}, `queue.enqueue(%g)`),
)

// cycleOf is a row. The job system's own client evaluates enqueue, with a number of seconds, to enqueue a job
// that takes so long; its value is the job's id. The queue's name is left out.
func cycleOf(name string, system func(testing.TB) jobclients.System, queue v1.QueueSpec, enqueue string) TableEntry {
	return Entry(name, Offset(1), SpecTimeout(specTimeout), system, queue, enqueue)
}
