package controllers

import (
	"context"
	"net/http"
	"strconv"
	"sync"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1 "github.com/queuescaler/queuescaler/api/v1"
	"github.com/queuescaler/queuescaler/internal/heroku/simulator"
)

// TestMainJob goes through a day of a scaler's: idle, a job, the job in flight, idle.
func TestMainJob(t *testing.T) {
	e := newEnv(t, simulator.Process{Type: "worker"})
	e.create()
	e.awaitReadyWith("scaler", 0)
	e.push("default")
	e.awaitQuantity(2)
	e.awaitEvent(v1.ReasonWoken)
	e.await("scaler", v1.ConditionActive, metav1.ConditionTrue, v1.ReasonJobsWaiting)
	e.Expect(e.get("scaler").Status.LastWakeTime).NotTo(BeNil())

	e.beat("worker.1:4:a", serving("default"), "1", "false")
	e.do("hset", "worker.1:4:a:work", "tid", `{"queue":"default"}`)
	e.take("default")
	condition := e.await("scaler", v1.ConditionActive, metav1.ConditionTrue, v1.ReasonJobsInFlight)
	e.Expect(condition.Message).To(ContainSubstring("kept at 2: a job is in flight"))
	e.await("scaler", v1.ConditionWorkersHealthy, metav1.ConditionTrue, v1.ReasonWorkersHeard)

	e.do("del", "worker.1:4:a:work")
	stop, stopOther := e.keepBeating(first, serving("default")), e.keepBeating(second, serving("default"))
	e.Cleanup(stop)
	e.Cleanup(stopOther)
	e.awaitQuantity(0)
	stop()
	stopOther()
	e.do("srem", "processes", first, second)
	e.awaitReadyWith("scaler", 0)
	e.await("scaler", v1.ConditionWorkersHealthy, metav1.ConditionTrue, v1.ReasonWorkersOff)
	e.awaitEvent(v1.ReasonStopped)
	e.Expect(e.scalings()).To(HaveLen(2))
}

// keepBeating keeps an idle process alive, as its own heartbeat does.
func (e *env) keepBeating(identity, info string) (stop func()) {
	ctx, cancel := context.WithCancel(e.ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			pipe := e.redis.Pipeline()
			pipe.SAdd(ctx, "processes", identity)
			pipe.HSet(ctx, identity, "info", info, "busy", "0", "quiet", "false")
			pipe.Expire(ctx, identity, time.Minute)
			_, _ = pipe.Exec(ctx)
			select {
			case <-ctx.Done():
				return
			case <-time.After(5 * time.Second):
			}
		}
	}()
	return func() { cancel(); <-ended }
}

// TestScheduledJob starts workers before a job is due, unless it is not to matter.
func TestScheduledJob(t *testing.T) {
	t.Parallel()
	for policy, quantity := range map[v1.ScheduledJobsPolicy]int{v1.ScheduledJobsWake: 2, v1.ScheduledJobsIgnore: 0} {
		t.Run(string(policy), func(t *testing.T) {
			e := newEnv(t, simulator.Process{Type: "worker"})
			due := time.Now().Add(wakeLead + 3*time.Second)
			e.do("zadd", "schedule", strconv.FormatInt(due.Unix(), 10), `{"queue":"default"}`)
			e.create(func(s *v1.QueueScaler) { s.Spec.ScheduledJobs = policy })
			e.awaitReady("scaler")
			e.Eventually(time.Now).Should(BeTemporally(">", due.Add(-wakeLead)))
			e.awaitQuantity(quantity)
			e.awaitReads(1)
			e.Expect(e.quantity("worker")).To(Equal(quantity))
		})
	}
}

func TestListQueue(t *testing.T) {
	t.Parallel()
	t.Run("with processing keys", func(t *testing.T) {
		e := newEnv(t, simulator.Process{Type: "worker"})
		e.push("jobs")
		e.create(func(s *v1.QueueScaler) {
			s.Spec.Queue = v1.QueueSpec{Type: v1.QueueList, Names: []string{"jobs"}, KeyPrefix: "queue:",
				List: &v1.ListQueue{ProcessingKeys: []string{"running"}}}
		})
		e.awaitQuantity(2)
		e.do("lmove", "queue:jobs", "queue:running", "right", "left")
		e.await("scaler", v1.ConditionActive, metav1.ConditionTrue, v1.ReasonJobsInFlight)
		e.await("scaler", v1.ConditionWorkersHealthy, metav1.ConditionUnknown, v1.ReasonWorkersNotObservable)
		e.awaitReads(2)
		e.Expect(e.quantity("worker")).To(Equal(2))
		e.do("del", "queue:running")
		e.awaitQuantity(0)
	})
	t.Run("with a longest job", func(t *testing.T) {
		e := newEnv(t, simulator.Process{Type: "worker"})
		longest := int32(5)
		e.push("default")
		e.create(plainList, func(s *v1.QueueScaler) { s.Spec.Queue.MaxJobSeconds = &longest })
		e.awaitQuantity(2)
		taken := time.Now()
		e.take("default")
		e.awaitQuantity(0)
		scalings := e.scalings()
		e.Expect(scalings[len(scalings)-1].Time.Sub(taken).Seconds()).To(BeNumerically(">=", longest))
	})
}

// TestPausedQueue has jobs that nobody would take: they wake nobody.
func TestPausedQueue(t *testing.T) {
	e := newEnv(t, simulator.Process{Type: "worker"})
	e.do("sadd", "paused", "default")
	e.push("default")
	e.create()
	e.awaitReady("scaler")
	condition := e.await("scaler", v1.ConditionQueueReachable, metav1.ConditionTrue, v1.ReasonQueueRead)
	e.Expect(condition.Message).To(ContainSubstring("paused: default"))
	e.awaitReads(1)
	e.Expect(e.quantity("worker")).To(BeZero())
	e.do("del", "paused")
	e.awaitQuantity(2)
}

// TestUnhealthyWorkers has jobs that wait in vain, for reasons that the heartbeats tell.
func TestUnhealthyWorkers(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		damage, mend func(e *env)
		reason       string
		message      []string
	}{
		"a queue that nobody serves": {
			func(e *env) { e.beat("worker.1:4:a", serving("other"), "0", "false"); e.push("other") },
			func(e *env) { e.beat("worker.1:4:a", serving("default", "other"), "0", "false") },
			v1.ReasonQueueNotServed, []string{"default", "workers' configuration"},
		},
		"all quiet": {
			func(e *env) { e.beat("worker.1:4:a", serving("default", "other"), "0", "true") },
			func(e *env) { e.beat("worker.1:4:a", serving("default", "other"), "0", "false") },
			v1.ReasonWorkersQuiet, []string{"all worker processes are quiet"},
		},
		"nobody is heard": {
			func(*env) {},
			func(e *env) { e.beat("worker.1:4:a", serving("default", "other"), "0", "false") },
			v1.ReasonWorkersNotHeard, []string{"60 s", "use this Redis"},
		},
		"the dynos crash": {
			func(e *env) {
				w.heroku.RemoveApp(e.app)
				e.addApp(simulator.App{Formation: []simulator.Process{{Type: "worker", Command: []string{"false"}}}})
			},
			func(e *env) { e.beat("worker.1:4:a", serving("default", "other"), "0", "false") },
			v1.ReasonWorkersCrashing, []string{"crash", "heroku logs --ps worker"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			e := newEnv(t, simulator.Process{Type: "worker"})
			test.damage(e)
			e.push("default")
			e.list("other")
			e.create(func(s *v1.QueueScaler) { s.Spec.Queue.Names = []string{"default", "other"} })
			e.awaitQuantity(2)
			condition := e.await("scaler", v1.ConditionWorkersHealthy, metav1.ConditionFalse, test.reason)
			for _, part := range test.message {
				e.Expect(condition.Message).To(ContainSubstring(part))
			}
			e.awaitEvent(test.reason)
			e.awaitReady("scaler")
			test.mend(e)
			e.await("scaler", v1.ConditionWorkersHealthy, metav1.ConditionTrue, v1.ReasonWorkersHeard)
			e.Expect(e.quantity("worker")).To(Equal(2))
		})
	}
}

// TestBusyOthersDoNotMatter has a process of another type at work on another queue.
func TestBusyOthersDoNotMatter(t *testing.T) {
	e := newEnv(t, simulator.Process{Type: "worker", Quantity: 2})
	e.beat("mailer.1:4:b", serving("mailers"), "1", "false")
	e.do("hset", "mailer.1:4:b:work", "tid", `{"queue":"mailers"}`)
	e.push("mailers")
	e.Cleanup(e.keepBeating(first, serving("default")))
	e.Cleanup(e.keepBeating(second, serving("default")))
	e.create()
	e.awaitQuantity(0)
}

// readSeldom has the queue read on its own account once only, before the test is over.
func readSeldom(s *v1.QueueScaler) {
	s.Spec.PollPeriodSeconds, s.Spec.IdleTimeoutSeconds = 300, 30
}

// TestLastLook has a job come after the queue was last read: it is found just before the stop.
func TestLastLook(t *testing.T) {
	e := newEnv(t, simulator.Process{Type: "worker", Quantity: 2})
	e.create(plainList, readSeldom)
	e.await("scaler", v1.ConditionActive, metav1.ConditionTrue, v1.ReasonIdleTimeout)
	e.push("default")
	e.await("scaler", v1.ConditionActive, metav1.ConditionTrue, v1.ReasonJobsWaiting)
	e.awaitReads(1)
	for _, scaling := range e.scalings() {
		e.Expect(scaling.NewQuantity).To(Equal(2))
	}
}

// TestLookAfterStop has a job come just as the workers are stopped: they are started again.
func TestLookAfterStop(t *testing.T) {
	e := newEnv(t, simulator.Process{Type: "worker", Quantity: 2})
	var once sync.Once
	defer w.heroku.AfterRequest(func(r simulator.Request) {
		if r.Method == http.MethodPatch && r.Token == e.tokenName() {
			once.Do(func() { e.push("default") })
		}
	})()
	e.create(plainList, readSeldom)
	e.awaitHeroku(func() bool { return len(e.scalings()) == 2 }, "there should be a stop and a start")
	e.Expect(e.quantity("worker")).To(Equal(2))
}

// TestWrongQueueNames has workers that serve none of the named queues: they may be running jobs that
// are not counted, and are kept until the names are right.
func TestWrongQueueNames(t *testing.T) {
	e := newEnv(t, simulator.Process{Type: "worker", Quantity: 2})
	e.Cleanup(e.keepBeating(first, serving("mailers")))
	e.Cleanup(e.keepBeating(second, serving("mailers")))
	e.create()
	condition := e.await("scaler", v1.ConditionWorkersHealthy, metav1.ConditionFalse, v1.ReasonWorkersElsewhere)
	e.Expect(condition.Message).To(ContainSubstring("spec.queue.names"))
	e.await("scaler", v1.ConditionActive, metav1.ConditionTrue, v1.ReasonWorkersElsewhere)
	e.Expect(e.quantity("worker")).To(Equal(2))

	e.patch("scaler", func(s *v1.QueueScaler) { s.Spec.Queue.Names = []string{"mailers"} })
	e.await("scaler", v1.ConditionWorkersHealthy, metav1.ConditionTrue, v1.ReasonWorkersHeard)
	e.awaitQuantity(0)
}

// TestJobsUnseen has a list that does not show which jobs run, and a Redis user that is not told of writes: jobs
// may run with nobody to see, so that nothing is stopped until the list shows them.
func TestJobsUnseen(t *testing.T) {
	e := newEnv(t, simulator.Process{Type: "worker", Quantity: 2})
	e.do("acl", "setuser", "default", "-client|tracking")
	e.create(plainList)
	condition := e.await("scaler", v1.ConditionWorkersHealthy, metav1.ConditionFalse, v1.ReasonJobsUnseen)
	e.Expect(condition.Message).To(And(ContainSubstring("+client|tracking"), ContainSubstring("spec.queue.list.processingKeys")))
	e.await("scaler", v1.ConditionActive, metav1.ConditionTrue, v1.ReasonJobsUnseen)
	e.Expect(e.quantity("worker")).To(Equal(2))

	e.patch("scaler", func(s *v1.QueueScaler) {
		s.Spec.Queue.MaxJobSeconds, s.Spec.Queue.List = nil, &v1.ListQueue{ProcessingKeys: []string{"busy"}}
	})
	e.awaitQuantity(0)
}
