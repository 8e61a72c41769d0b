package e2e

import (
	"context"
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
	dueIn      = 10 // seconds
)

// jobSystem is a job system besides Sidekiq.
type jobSystem struct {
	name   string
	system func(testing.TB) jobclients.System
	queue  v1.QueueSpec
	// enqueue is what its own client evaluates to enqueue a job that takes so many seconds, and later one
	// that is due in so many; empty where the system has no such jobs. The value is the job's id.
	enqueue, later string
}

const (
	addToBull      = `queue.add('job', {seconds: %g}).then(job => String(job.id))`
	addToBullLater = `queue.add('job', {}, {delay: 1000 * %d}).then(job => String(job.id))`
	addToPlain     = `queue.enqueue(%g)`
)

var jobSystems = []jobSystem{
	{"BullMQ 5", jobclients.BullMQ5, v1.QueueSpec{Type: v1.QueueBullMQ}, addToBull, addToBullLater},
	{"BullMQ 6", jobclients.BullMQ6, v1.QueueSpec{Type: v1.QueueBullMQ}, addToBull, addToBullLater},
	{"Bull", jobclients.Bull, v1.QueueSpec{Type: v1.QueueBull}, addToBull, addToBullLater},
	{"Asynq", jobclients.Asynq, v1.QueueSpec{Type: v1.QueueAsynq}, `add 0 sleep %g`, `add %d plain`},
	{
		"RQ", jobclients.RQ, v1.QueueSpec{Type: v1.QueueRQ},
		`default.enqueue(jobs.long, %g).id`, `default.enqueue_in(timedelta(seconds=%d), jobs.long, 0).id`,
	},
	{
		"Celery with late acknowledgement", jobclients.Celery,
		v1.QueueSpec{Type: v1.QueueCelery, Celery: &v1.CeleryQueue{Acknowledgement: v1.AcknowledgementLate}},
		`late.apply_async((%g,), queue="default").id`, `late.apply_async((0,), queue="default", countdown=%d).id`,
	},
	{
		"Celery with early acknowledgement", jobclients.Celery,
		v1.QueueSpec{
			Type: v1.QueueCelery, Celery: &v1.CeleryQueue{Acknowledgement: v1.AcknowledgementEarly},
			MaxJobSeconds: ptr.To[int32](longestJob),
		},
		`early.apply_async((%g,), queue="default").id`, `early.apply_async((0,), queue="default", countdown=%d).id`,
	},
	{
		"a stream", jobclients.Stream,
		v1.QueueSpec{Type: v1.QueueStream, Stream: &v1.StreamQueue{Group: "workers", ClaimIdleSeconds: ptr.To[int32](60)}},
		addToPlain, "",
	},
	{
		"a sorted set", jobclients.SortedSet,
		v1.QueueSpec{Type: v1.QueueSortedSet, MaxJobSeconds: ptr.To[int32](longestJob)},
		addToPlain, `queue.enqueue(0, delay=%d)`,
	},
	{
		"a list that shows which jobs run", jobclients.List,
		v1.QueueSpec{Type: v1.QueueList, List: &v1.ListQueue{ProcessingKeys: []string{queueName + ":processing"}}},
		addToPlain, "",
	},
	{
		"a list that does not", jobclients.List,
		v1.QueueSpec{Type: v1.QueueList, MaxJobSeconds: ptr.To[int32](longestJob)},
		addToPlain, "",
	},
}

var _ = Describe("workers of", func() {
	for _, s := range jobSystems {
		Describe(s.name, func() {
			It("start for jobs and stop when the last of them has ended", func(ctx SpecContext) {
				a := newSystemApp(ctx, s)
				for _, seconds := range []float64{0.1, 0.1, 0.1, longJob} {
					a.enqueue(s.enqueue, seconds)
				}
				a.expectOneCycle(ctx)
			}, SpecTimeout(specTimeout))

			if s.later == "" {
				return
			}
			It("start for a scheduled job and stop after it", func(ctx SpecContext) {
				a := newSystemApp(ctx, s)
				a.enqueue(s.later, dueIn)
				a.expectOneCycle(ctx)
			}, SpecTimeout(specTimeout))
		})
	}
})

// systemApp is an app with workers of a job system, and that system's client.
type systemApp struct {
	*app
	client *jobclients.Console
}

// newSystemApp makes an app without dynos, and its QueueScaler.
func newSystemApp(ctx context.Context, s jobSystem) *systemApp {
	system := s.system(GinkgoTB())
	a := &systemApp{app: newApp()}
	a.deploy(ctx, simulator.Process{Type: "worker", Command: system.WorkerCommand(queueName)})
	a.scale(ctx, "worker", nil, func(scaler *v1.QueueScaler) {
		scaler.Spec.Queue = s.queue
		scaler.Spec.Queue.Names = []string{queueName}
	})
	a.client = system.Console(GinkgoTB(), a.redisURL, queueName)
	return a
}

func (a *systemApp) enqueue(expression string, seconds any) {
	var job string
	a.client.Eval(fmt.Sprintf(expression, seconds), &job)
	a.jobs = append(a.jobs, job)
}

// expectOneCycle waits until all jobs have ended and the dynos are gone, and judges.
func (a *systemApp) expectOneCycle(ctx context.Context) {
	GinkgoHelper()
	a.awaitQuantity(ctx, "worker", 2)
	a.awaitEvents(ctx, "end", len(a.jobs))
	a.awaitQuantity(ctx, "worker", 0)
	a.awaitGone(ctx)

	Expect(a.judge()).To(BeEmpty())
	Expect(a.quantities("worker")).To(Equal([]int{2, 0}))
}
