package controllers

import (
	"net/http"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1 "github.com/queuescaler/queuescaler/api/v1"
	"github.com/queuescaler/queuescaler/internal/heroku/simulator"
)

// apiFaults are the ways in which Heroku's API fails, and what is said of them.
var apiFaults = map[string]struct {
	fault  simulator.Fault
	reason string
	// refused says that Heroku's answer is certain: nothing was changed.
	refused bool
}{
	"429":             {simulator.Fault{Effect: simulator.RateLimit}, v1.ReasonRateLimited, true},
	"429 with a wait": {simulator.Fault{Effect: simulator.RateLimit, RetryAfter: "6"}, v1.ReasonRateLimited, true},
	"500":             {simulator.Fault{Effect: simulator.Status, Status: 500}, v1.ReasonHerokuUnavailable, false},
	"503":             {simulator.Fault{Effect: simulator.Status, Status: 503}, v1.ReasonHerokuUnavailable, false},
	"503 as a page":   {simulator.Fault{Effect: simulator.HTMLPage}, v1.ReasonHerokuUnavailable, false},
	"no answer":       {simulator.Fault{Effect: simulator.Hang}, v1.ReasonHerokuUnavailable, false},
	"reset":           {simulator.Fault{Effect: simulator.Reset}, v1.ReasonHerokuUnavailable, false},
}

// scaling makes a fault one of the env's PATCHes.
func (e *env) scaling(f simulator.Fault) simulator.Fault {
	f.Method, f.Path = http.MethodPatch, "/apps/*/formation/worker"
	f.Match = func(r *http.Request) bool { return r.Header.Get("Authorization") == "Bearer "+e.token }
	return f
}

// TestStartDespiteFaults has Heroku fail, first for good and then no more, while a start is wanted.
func TestStartDespiteFaults(t *testing.T) {
	t.Parallel()
	for name, test := range apiFaults {
		t.Run(name, func(t *testing.T) {
			e := newEnv(t, simulator.Process{Type: "worker", Quantity: 1})
			e.create()
			e.awaitReady("scaler")
			remove := w.heroku.Inject(e.scaling(test.fault))
			e.push("default")
			e.awaitHeroku(func() bool { return e.patches() >= 2 }, "the start should be tried again")
			e.await("scaler", v1.ConditionFormationSynced, metav1.ConditionFalse, test.reason)
			e.expectAbnormal("scaler", test.reason, false)
			e.expectOthersWork()
			e.Expect(e.quantity("worker")).To(Equal(1))
			remove()
			e.awaitQuantity(2)
			e.awaitReadyWith("scaler", 2)
		})
	}
}

// TestStartWhileHerokuIsDown has reads fail as well.
func TestStartWhileHerokuIsDown(t *testing.T) {
	t.Parallel()
	for name, known := range map[string]bool{"before the formation was ever read": false, "later": true} {
		t.Run(name, func(t *testing.T) {
			e := newEnv(t, simulator.Process{Type: "worker", Quantity: 1})
			down := simulator.Fault{Effect: simulator.HTMLPage, Match: e.scaling(simulator.Fault{}).Match}
			var remove func()
			if known {
				e.create()
				e.awaitReady("scaler")
			}
			remove = w.heroku.Inject(down)
			e.push("default")
			if !known {
				e.create()
			}
			e.awaitReads(4)
			e.await("scaler", v1.ConditionFormationSynced, metav1.ConditionFalse, v1.ReasonHerokuUnavailable)
			e.Expect(e.quantity("worker")).To(Equal(1))
			remove()
			e.awaitQuantity(2)
			e.awaitReady("scaler")
		})
	}
}

// TestStartWithLateOrLostAnswer has PATCHes that are applied all the same.
func TestStartWithLateOrLostAnswer(t *testing.T) {
	t.Parallel()
	for name, f := range map[string]simulator.Fault{
		"slow": {Effect: simulator.Slow, Delay: time.Second, Times: 1},
		"lost": {Effect: simulator.LoseAnswer, Times: 1},
	} {
		t.Run(name, func(t *testing.T) {
			e := newEnv(t, simulator.Process{Type: "worker"})
			e.create()
			e.awaitReady("scaler")
			w.heroku.Inject(e.scaling(f))
			e.push("default")
			e.awaitQuantity(2)
			e.awaitReadyWith("scaler", 2)
		})
	}
}

// TestStopDespiteFaults has Heroku fail twice while a stop is wanted, or once where it then rests for
// half a minute. Where it may have been applied it is not tried again before the formation was read.
func TestStopDespiteFaults(t *testing.T) {
	t.Parallel()
	for name, test := range apiFaults {
		t.Run(name, func(t *testing.T) {
			e := newEnv(t, simulator.Process{Type: "worker", Quantity: 2})
			test.fault.Times = 2
			if test.reason == v1.ReasonRateLimited {
				test.fault.Times = 1
			}
			w.heroku.Inject(e.scaling(test.fault))
			e.create(plainList)
			e.awaitQuantity(0)
			e.awaitReadyWith("scaler", 0)
			e.awaitPatches(test.fault.Times + 1)
			if !test.refused {
				e.expectReadBeforeEachPatch()
			}
		})
	}
	t.Run("answer lost", func(t *testing.T) {
		e := newEnv(t, simulator.Process{Type: "worker", Quantity: 2})
		w.heroku.Inject(e.scaling(simulator.Fault{Effect: simulator.LoseAnswer, Times: 1}))
		e.create(plainList)
		e.awaitQuantity(0)
		e.awaitReadyWith("scaler", 0)
		e.awaitPatches(1)
		e.expectReadBeforeEachPatch()
	})
}

// TestWorkAfterALostStop has a job come after a stop whose answer was lost: the start goes out
// whatever is believed of the formation.
func TestWorkAfterALostStop(t *testing.T) {
	e := newEnv(t, simulator.Process{Type: "worker", Quantity: 2})
	w.heroku.Inject(e.scaling(simulator.Fault{Effect: simulator.LoseAnswer, Times: 1}))
	down := simulator.Fault{Effect: simulator.Reset, Method: http.MethodGet, Match: e.scaling(simulator.Fault{}).Match}
	var remove func()
	defer w.heroku.AfterRequest(func(r simulator.Request) {
		if r.Method == http.MethodPatch && r.Token == e.tokenName() && remove == nil {
			remove = w.heroku.Inject(down) // nobody can read the formation from now on
			e.push("default")
		}
	})()
	e.create(plainList)
	e.awaitHeroku(func() bool { return e.patches() >= 2 && e.quantity("worker") == 2 }, "workers should be started again")
	e.Expect(e.scalings()[0].NewQuantity).To(Equal(0))
	remove()
	e.awaitReady("scaler")
}

func (e *env) expectReadBeforeEachPatch() {
	e.Helper()
	read := false
	for _, request := range e.requests() {
		switch request.Method {
		case http.MethodGet:
			read = read || request.Status == http.StatusOK
		case http.MethodPatch:
			e.Expect(read).To(BeTrue(), "a stop was tried again without a read")
			read = false
		}
	}
}

// TestAStopThatWaitedLooksAgain has a stop wait for another process type's PATCH, and a job come meanwhile.
func TestAStopThatWaitedLooksAgain(t *testing.T) {
	e := newEnv(t, simulator.Process{Type: "worker", Quantity: 2}, simulator.Process{Type: "other"})
	const idleTimeout = 8
	e.create(plainList, func(s *v1.QueueScaler) {
		s.Name, s.Spec.Queue.Names, s.Spec.Heroku.ProcessType = "other", []string{"queue:other"}, "other"
	})
	e.create(plainList, func(s *v1.QueueScaler) { s.Spec.IdleTimeoutSeconds = idleTimeout })
	e.awaitReadyWith("other", 0)
	e.await("scaler", v1.ConditionActive, metav1.ConditionTrue, v1.ReasonIdleTimeout)
	reach := func(idleFor time.Duration) {
		e.Eventually(time.Now).Should(BeTemporally(">", e.get("scaler").Status.IdleStartTime.Add(idleFor)))
	}
	reach((idleTimeout - 3) * time.Second)
	held, release := e.hold(http.MethodPatch)
	e.push("other")
	e.Eventually(held).Should(BeClosed())
	reach((idleTimeout + 2) * time.Second)
	e.push("default")
	release()
	e.await("scaler", v1.ConditionActive, metav1.ConditionTrue, v1.ReasonJobsWaiting)
	e.awaitQuantityOf("other", 2)
	for _, scaling := range e.scalings() {
		e.Expect(scaling.NewQuantity).NotTo(BeZero(), "a worker was stopped while a job waited")
	}
}
