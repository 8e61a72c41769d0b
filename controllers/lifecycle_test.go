package controllers

import (
	"slices"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/queuescaler/queuescaler/api/v1"
	"github.com/queuescaler/queuescaler/internal/heroku/simulator"
)

// TestTargetChange has a scaler name another process type: the old one is left by the deletion policy.
func TestTargetChange(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		policy v1.DeletionPolicy
		fault  simulator.Fault
		left   int
	}{
		"ScaleUp": {policy: v1.DeletionScaleUp, left: 2},
		"Retain":  {policy: v1.DeletionRetain, left: 0},
		"ScaleUp, while Heroku fails": {
			policy: v1.DeletionScaleUp, fault: simulator.Fault{Effect: simulator.HTMLPage, Times: 2}, left: 2,
		},
	} {
		t.Run(name, func(t *testing.T) {
			e := newEnv(t, simulator.Process{Type: "worker"}, simulator.Process{Type: "other"})
			e.create(func(s *v1.QueueScaler) { s.Spec.DeletionPolicy = test.policy })
			e.awaitReady("scaler")
			if test.fault.Times > 0 {
				w.heroku.Inject(e.scaling(test.fault))
			}
			e.patch("scaler", func(s *v1.QueueScaler) { s.Spec.Heroku.ProcessType = "other" })
			e.Eventually(func() string { return e.get("scaler").Status.Target.ProcessType }).Should(Equal("other"))
			e.awaitReady("scaler")
			e.Expect(e.quantity("worker")).To(Equal(test.left))
			e.push("default")
			e.awaitQuantityOf("other", 2)
			e.Expect(e.quantity("worker")).To(Equal(test.left))
		})
	}
}

// TestSuspend has a suspension of each kind hold the quantity, and work go on when it ends.
func TestSuspend(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ begin, end change }{
		"in the spec": {
			func(s *v1.QueueScaler) { s.Spec.Suspend = true },
			func(s *v1.QueueScaler) { s.Spec.Suspend = false },
		},
		"until a time": {
			annotated(v1.AnnotationSuspendUntil, "2999-01-01T00:00:00Z"),
			func(s *v1.QueueScaler) { delete(s.Annotations, v1.AnnotationSuspendUntil) },
		},
		"until a time that comes": {
			func(s *v1.QueueScaler) {
				annotated(v1.AnnotationSuspendUntil, time.Now().Add(20*time.Second).Format(time.RFC3339))(s)
			},
			nil,
		},
	} {
		t.Run(name, func(t *testing.T) {
			e := newEnv(t, simulator.Process{Type: "worker", Quantity: 1})
			e.push("default")
			e.create(test.begin)
			e.await("scaler", v1.ConditionReady, metav1.ConditionTrue, v1.ReasonSuspended)
			e.await("scaler", v1.ConditionActive, metav1.ConditionUnknown, v1.ReasonSuspended)
			e.Expect(e.quantity("worker")).To(Equal(1))
			e.Expect(e.scalings()).To(BeEmpty())
			if test.end != nil {
				e.patch("scaler", test.end)
			}
			e.awaitQuantity(2)
			e.awaitReady("scaler")
		})
	}
}

// TestResumeRestartsTheIdleClock has a suspension end after the queue was idle for long.
func TestResumeRestartsTheIdleClock(t *testing.T) {
	e := newEnv(t, simulator.Process{Type: "worker", Quantity: 1})
	const idleTimeout = 4
	e.create(plainList, func(s *v1.QueueScaler) { s.Spec.Suspend, s.Spec.IdleTimeoutSeconds = true, idleTimeout })
	e.await("scaler", v1.ConditionReady, metav1.ConditionTrue, v1.ReasonSuspended)
	idle := e.get("scaler").Status.IdleStartTime
	e.Expect(idle).NotTo(BeNil())
	e.Eventually(time.Now).Should(BeTemporally(">", idle.Add((idleTimeout+1)*time.Second)))
	resumed := time.Now()
	e.patch("scaler", func(s *v1.QueueScaler) { s.Spec.Suspend = false })
	e.awaitQuantity(0)
	e.Expect(e.scalings()[0].Time.Sub(resumed).Seconds()).To(BeNumerically(">=", idleTimeout))
}

// TestAnnotations has times that are past, and texts that are none.
func TestAnnotations(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		annotation, value string
		broken            bool
		jobs              bool
		quantity          int
	}{
		"woken until a time":                 {v1.AnnotationWakeUntil, "2999-01-01T00:00:00Z", false, false, 2},
		"woken until a time in a zone":       {v1.AnnotationWakeUntil, "2999-01-01T00:00:00+05:30", false, false, 2},
		"woken until a time that passed":     {v1.AnnotationWakeUntil, "2001-01-01T00:00:00Z", false, false, 1},
		"woken until something":              {v1.AnnotationWakeUntil, "tomorrow", true, false, 1},
		"woken until something, jobs":        {v1.AnnotationWakeUntil, "2030-01-01", true, true, 2},
		"the silent ignored until something": {v1.AnnotationIgnoreSilentUntil, "tomorrow", true, true, 2},
		"suspended until a past time":        {v1.AnnotationSuspendUntil, "2001-01-01T00:00:00Z", false, true, 2},
		"suspended until something":          {v1.AnnotationSuspendUntil, "tomorrow", true, true, 1},
	} {
		t.Run(name, func(t *testing.T) {
			e := newEnv(t, simulator.Process{Type: "worker", Quantity: 1})
			if test.jobs {
				e.push("default")
			}
			e.create(annotated(test.annotation, test.value))
			if test.broken {
				condition := e.await("scaler", v1.ConditionReady, metav1.ConditionFalse, v1.ReasonAnnotationInvalid)
				e.Expect(condition.Message).To(And(ContainSubstring(test.annotation), ContainSubstring("2030-01-31T18:00:00Z")))
				e.expectAbnormal("scaler", v1.ReasonAnnotationInvalid, true)
			} else {
				e.awaitReady("scaler")
			}
			e.awaitQuantity(test.quantity)
			e.awaitReads(1)
			e.Expect(e.quantity("worker")).To(Equal(test.quantity))
			e.patch("scaler", func(s *v1.QueueScaler) { delete(s.Annotations, test.annotation) })
			e.awaitReady("scaler")
		})
	}
}

// TestWakeUntilEnds has workers that were only kept for an annotation go.
func TestWakeUntilEnds(t *testing.T) {
	e := newEnv(t, simulator.Process{Type: "worker"})
	e.create(plainList, annotated(v1.AnnotationWakeUntil, "2999-01-01T00:00:00Z"))
	e.awaitQuantity(2)
	e.await("scaler", v1.ConditionActive, metav1.ConditionTrue, v1.ReasonWakeRequested)
	e.patch("scaler", annotated(v1.AnnotationWakeUntil, time.Now().Add(3*time.Second).Format(time.RFC3339)))
	e.awaitQuantity(0)
	e.awaitReadyWith("scaler", 0)
}

// TestWhatAPersonScales has more dynos left alone until the queue is idle, and fewer made up for.
func TestWhatAPersonScales(t *testing.T) {
	e := newEnv(t, simulator.Process{Type: "worker"})
	e.push("default")
	e.create(plainList)
	e.awaitQuantity(2)
	e.Expect(w.heroku.Scale(e.app, "worker", 5)).To(Succeed())
	condition := e.await("scaler", v1.ConditionFormationSynced, metav1.ConditionTrue, v1.ReasonSurplus)
	e.Expect(condition.Message).To(And(ContainSubstring("5 dynos"), ContainSubstring("spec.activeQuantity"), ContainSubstring("falls idle")))
	e.awaitReadyWith("scaler", 5)
	e.awaitEvent(v1.ReasonDrift)
	e.Expect(w.heroku.Scale(e.app, "worker", 1)).To(Succeed())
	e.awaitQuantity(2)
	e.patch("scaler", func(s *v1.QueueScaler) { s.Spec.ActiveQuantity = 1 })
	e.await("scaler", v1.ConditionFormationSynced, metav1.ConditionTrue, v1.ReasonSurplus)
	e.take("default")
	e.awaitQuantity(0)
	var asked []int
	for _, scaling := range e.scalings() {
		asked = append(asked, scaling.NewQuantity)
	}
	e.Expect(slices.Compact(asked)).To(Equal([]int{2, 0}))
}

// TestSteadyState counts what an idle object costs: no write, and no call but the reads for drift.
func TestSteadyState(t *testing.T) {
	e := newEnv(t, simulator.Process{Type: "worker"})
	e.create()
	e.awaitReadyWith("scaler", 0)
	e.await("scaler", v1.ConditionActive, metav1.ConditionFalse, v1.ReasonIdle)
	e.awaitReads(1)
	written, asked := len(w.writes.in(e.namespace)), len(e.requests())
	e.awaitReads(10)
	e.Expect(w.writes.in(e.namespace)[written:]).To(BeEmpty())
	for _, request := range e.requests()[asked:] {
		e.Expect(request.Method + " " + request.Path).To(HavePrefix("GET /apps/"))
		e.Expect(request.Path).To(HaveSuffix("/formation"))
	}
	times := e.requests()[asked:]
	for i := range times[1:] {
		e.Expect(times[i+1].Time.Sub(times[i].Time)).To(BeNumerically(">=", driftPeriod*3/4), "reads are spaced out")
	}
}

// TestStatusesOfABusyQueueAreFew has jobs come and go all the time, one after the other, while the workers
// run: that is told now and then.
func TestStatusesOfABusyQueueAreFew(t *testing.T) {
	e := newEnv(t, simulator.Process{Type: "worker", Quantity: 2})
	e.create(plainList, func(s *v1.QueueScaler) { s.Spec.IdleTimeoutSeconds = 3600 })
	e.await("scaler", v1.ConditionActive, metav1.ConditionTrue, v1.ReasonIdleTimeout)
	written, began := len(w.writes.in(e.namespace)), time.Now()
	reconciledWith := func(depth int64) {
		e.Eventually(func() int64 {
			perObject.mu.Lock()
			defer perObject.mu.Unlock()
			return perObject.byName[client.ObjectKey{Namespace: e.namespace, Name: "scaler"}].depth
		}).Should(Equal(depth))
	}
	const jobs = 10
	for range jobs {
		e.push("default")
		reconciledWith(1)
		e.take("default")
		reconciledWith(0)
	}
	most := 2 * (1 + int(time.Since(began)/calmPeriod)) // a status, and its event
	told := w.writes.in(e.namespace)[written:]
	e.Expect(len(told)).To(BeNumerically("<=", most), "%s", strings.Join(told, "\n"))
}
