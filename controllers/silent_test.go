package controllers

import (
	"net/http"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1 "github.com/queuescaler/queuescaler/api/v1"
	"github.com/queuescaler/queuescaler/internal/heroku/simulator"
	"github.com/queuescaler/queuescaler/internal/queue"
	"github.com/queuescaler/queuescaler/internal/scaling"
)

// lists counts the lists of dynos that were asked for.
func (e *env) lists() int {
	count := 0
	for _, request := range e.requests() {
		if request.Method == http.MethodGet && strings.HasSuffix(request.Path, "/dynos") {
			count++
		}
	}
	return count
}

// fallSilent has the second of two workers be busy, and then not be heard any more: its hash expires, and
// it stays a member of the processes. The first one goes on.
func (e *env) fallSilent() {
	e.Helper()
	stop := e.keepBeating(first, serving("default"))
	e.Cleanup(stop)
	e.beat(second, serving("default"), "1", "false")
	e.create()
	e.await("scaler", v1.ConditionActive, metav1.ConditionTrue, v1.ReasonJobsInFlight)
	e.do("del", second)
	condition := e.await("scaler", v1.ConditionWorkersHealthy, metav1.ConditionFalse, v1.ReasonWorkersSilent)
	e.Expect(condition.Message).To(And(ContainSubstring("worker.2 (last heard at 20"), ContainSubstring("heroku ps:restart"),
		ContainSubstring(v1.AnnotationIgnoreSilentUntil)))
	e.await("scaler", v1.ConditionActive, metav1.ConditionTrue, v1.ReasonWorkersSilent)
	e.awaitEvent(v1.ReasonWorkersSilent)
	e.Expect(e.lists()).To(Equal(1), "one list of dynos is enough")
	e.awaitReads(3)
	e.Expect(e.quantity("worker")).To(Equal(2))
	e.Expect(e.scalings()).To(BeEmpty())
}

// TestASilentWorkerIsNotStopped until it is known to be dead, or a person says so.
func TestASilentWorkerIsNotStopped(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(*env){
		"its dyno is restarted": func(e *env) {
			request, err := http.NewRequestWithContext(e.ctx, http.MethodDelete, w.heroku.URL()+"/apps/"+e.app+"/dynos/worker.2", http.NoBody)
			e.Expect(err).NotTo(HaveOccurred())
			request.Header.Set("Authorization", "Bearer "+e.token)
			request.Header.Set("Accept", "application/vnd.heroku+json; version=3")
			answer, err := http.DefaultClient.Do(request)
			e.Expect(err).NotTo(HaveOccurred())
			e.Expect(answer.Body.Close()).To(Succeed())
			e.Expect(answer.StatusCode).To(BeNumerically("<", 300))
			e.Cleanup(e.keepBeating("worker.2:9:c", serving("default")))
		},
		"it is killed, and Heroku starts it again": func(e *env) {
			e.Expect(w.heroku.Kill(e.app, "worker.2")).To(Succeed())
			e.Cleanup(e.keepBeating("worker.2:9:c", serving("default")))
		},
		"it is heard again": func(e *env) {
			e.Cleanup(e.keepBeating(second, serving("default")))
		},
		"a person releases it": func(e *env) {
			e.patch("scaler", annotated(v1.AnnotationIgnoreSilentUntil, "2999-01-01T00:00:00Z"))
		},
	} {
		t.Run(name, func(t *testing.T) {
			e := newEnv(t, twoWorkers())
			e.fallSilent()
			end(e)
			e.awaitQuantity(0)
			e.awaitReadyWith("scaler", 0)
			e.await("scaler", v1.ConditionWorkersHealthy, metav1.ConditionTrue, v1.ReasonWorkersHeard)
		})
	}
}

// TestAWorkerThatWasNeverHeardIsAwaited: it may have taken a job and never have come to say so.
func TestAWorkerThatWasNeverHeardIsAwaited(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		heard, later []string
		message      string
	}{
		"one":  {[]string{first}, []string{second}, "worker.2 (not heard since it was started)"},
		"none": {nil, []string{first, second}, "none of the 2 dynos is heard in this Redis"},
	} {
		t.Run(name, func(t *testing.T) {
			e := newEnv(t, twoWorkers())
			for _, identity := range test.heard {
				e.Cleanup(e.keepBeating(identity, serving("default")))
			}
			e.create()
			condition := e.await("scaler", v1.ConditionWorkersHealthy, metav1.ConditionFalse, v1.ReasonWorkersSilent)
			e.Expect(condition.Message).To(ContainSubstring(test.message))
			e.Expect(e.lists()).To(Equal(1))
			e.Expect(e.quantity("worker")).To(Equal(2))
			for _, identity := range test.later {
				e.Cleanup(e.keepBeating(identity, serving("default")))
			}
			e.awaitQuantity(0)
			e.Expect(e.lists()).To(Equal(1), "when all are heard nobody is asked")
		})
	}
}

// TestCrashedDynosAreNotAwaited has dynos that Heroku shows as crashed.
func TestCrashedDynosAreNotAwaited(t *testing.T) {
	e := newEnv(t, simulator.Process{Type: "worker", Quantity: 2, Command: []string{"false"}})
	e.do("sadd", "processes", first, second) // what a SIGKILL leaves
	e.create()
	e.awaitQuantity(0)
	e.awaitReadyWith("scaler", 0)
	e.Expect(e.lists()).To(BeNumerically("<=", 2), "between two crashes a dyno starts")
}

// TestAStopCostsNoListWhereAllAreHeard: the list is for those who are missing.
func TestAStopCostsNoListWhereAllAreHeard(t *testing.T) {
	e := newEnv(t, twoWorkers())
	e.Cleanup(e.keepBeating(first, serving("default")))
	e.Cleanup(e.keepBeating(second, serving("default")))
	e.create()
	e.awaitQuantity(0)
	e.Expect(e.lists()).To(BeZero())
}

// TestTheListCannotBeRead: nobody is stopped on doubt, and the condition says why.
func TestTheListCannotBeRead(t *testing.T) {
	e := newEnv(t, twoWorkers())
	remove := w.heroku.Inject(simulator.Fault{Effect: simulator.Status, Status: 500, Method: http.MethodGet, Path: "/apps/*/dynos",
		Match: e.scaling(simulator.Fault{}).Match})
	e.create()
	condition := e.await("scaler", v1.ConditionWorkersHealthy, metav1.ConditionFalse, v1.ReasonWorkersSilent)
	e.Expect(condition.Message).To(ContainSubstring("could not be asked: Heroku's API cannot be used now"))
	remove()
	e.Expect(w.heroku.Scale(e.app, "worker", 0)).To(Succeed())
	e.awaitReadyWith("scaler", 0)
}

// TestADrainAwaitsTheSilent has a worker fall silent after it was told to take no more jobs.
func TestADrainAwaitsTheSilent(t *testing.T) {
	t.Parallel()
	s := rollScope(2, first, second)
	for i := range s.snapshot.Processes {
		s.snapshot.Processes[i].Quiet = true
	}
	began := timestamp(s.now)
	s.object.Status.DrainStartTime, s.memory.quieting.proven = &began, true
	decide := func(want scaling.Reason) {
		t.Helper()
		if s.decide(); s.decision.Reason != want {
			t.Errorf("%s, want %s", s.decision.Reason, want)
		}
	}
	decide(scaling.Drained)
	s.snapshot.Processes, s.snapshot.Silent = s.snapshot.Processes[:1], []queue.Silent{silentFor(second, time.Minute)}
	decide(scaling.Draining)
	if !s.heldByAbsence() {
		t.Error("the silent worker should be asked for")
	}
}
