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

// TestDeletion has scalers go by their deletion policy.
func TestDeletion(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		before int
		limit  int
		change change
		// damage happens between the first reconcile and the deletion.
		damage func(e *env)
		after  int
	}{
		"ScaleUp leaves the active quantity": {after: 2},
		"ScaleUp only raises":                {before: 5, change: keepBusy, after: 5},
		"ScaleUp leaves what Heroku allows":  {limit: 1, after: 1},
		"Retain leaves zero":                 {change: func(s *v1.QueueScaler) { s.Spec.DeletionPolicy = v1.DeletionRetain }, after: 0},
		"suspended leaves zero":              {change: func(s *v1.QueueScaler) { s.Spec.Suspend = true }, after: 0},
		"suspended until leaves zero":        {change: annotated(v1.AnnotationSuspendUntil, "2999-01-01T00:00:00Z"), after: 0},
		"the Secrets are gone first": {
			damage: func(e *env) {
				e.deleteSecret("heroku")
				e.deleteSecret("redis")
				e.await("scaler", v1.ConditionReady, metav1.ConditionFalse, v1.ReasonSecretNotFound)
			},
			after: 2,
		},
		"Heroku fails for a moment": {
			damage: func(e *env) {
				w.heroku.Inject(e.scaling(simulator.Fault{Effect: simulator.Status, Status: 503, Times: 2}))
			},
			after: 2,
		},
		"Heroku's answer is lost": {
			damage: func(e *env) { w.heroku.Inject(e.scaling(simulator.Fault{Effect: simulator.LoseAnswer, Times: 1})) },
			after:  2,
		},
		"nothing can be read": {
			damage: func(e *env) {
				e.awaitReadyWith("scaler", 0)
				e.Cleanup(w.heroku.Inject(e.calling(http.MethodGet, simulator.Fault{Effect: simulator.Hang})))
			},
			after: 2,
		},
		"the app is gone first": {
			damage: func(e *env) { w.heroku.RemoveApp(e.app) },
			after:  -1,
		},
	} {
		t.Run(name, func(t *testing.T) {
			e := newEnv(t)
			w.heroku.RemoveApp(e.app)
			e.addApp(simulator.App{DynoLimit: test.limit, Formation: []simulator.Process{{Type: "worker", Quantity: test.before}}})
			if test.change == nil {
				test.change = usual
			}
			e.create(test.change)
			e.awaitAdopted("scaler")
			if test.damage != nil {
				test.damage(e)
			}
			e.delete("scaler")
			e.awaitGone("scaler")
			e.Expect(e.quantity("worker")).To(Equal(test.after))
		})
	}
}

// awaitAdopted waits until a scaler owns its target.
func (e *env) awaitAdopted(name string) {
	e.Helper()
	e.Eventually(func() *v1.Target { return e.get(name).Status.Target }).ShouldNot(BeNil())
}

func annotated(name, value string) change {
	return func(s *v1.QueueScaler) {
		if s.Annotations == nil {
			s.Annotations = map[string]string{}
		}
		s.Annotations[name] = value
	}
}

// keepBusy keeps whatever runs running.
func keepBusy(s *v1.QueueScaler) {
	annotated(v1.AnnotationWakeUntil, "2999-01-01T00:00:00Z")(s)
}

// TestDeletionGivesUp has Heroku away for good: the object goes after half a minute, and says so.
func TestDeletionGivesUp(t *testing.T) {
	t.Parallel()
	for name, effect := range map[string]simulator.Effect{"errors": simulator.HTMLPage, "no answers": simulator.Hang} {
		t.Run(name, func(t *testing.T) {
			e := newEnv(t, simulator.Process{Type: "worker"})
			e.create()
			e.awaitAdopted("scaler")
			defer w.heroku.Inject(simulator.Fault{Effect: effect, Match: e.scaling(simulator.Fault{}).Match})()
			begin := time.Now()
			e.delete("scaler")
			e.awaitGone("scaler")
			e.Expect(time.Since(begin)).To(BeNumerically(">=", releasePatience), "it should have been tried for a while")
			e.awaitEvent(v1.ReasonReleaseAbandoned)
		})
	}
}

// TestDeletionWithoutTarget has a scaler go that never found its app: there is nothing to leave.
func TestDeletionWithoutTarget(t *testing.T) {
	e := newEnv(t, simulator.Process{Type: "worker"})
	e.create(func(s *v1.QueueScaler) { s.Spec.Heroku.App = "no-such-app" })
	e.await("scaler", v1.ConditionReady, metav1.ConditionFalse, v1.ReasonAppNotFound)
	e.delete("scaler")
	e.awaitGone("scaler")
	e.Expect(e.patches()).To(BeZero())
}

// TestDeletionWithPendingTarget has a scaler go that had a target, and names an unknown one now.
func TestDeletionWithPendingTarget(t *testing.T) {
	e := newEnv(t, simulator.Process{Type: "worker"})
	e.create()
	e.awaitAdopted("scaler")
	e.patch("scaler", func(s *v1.QueueScaler) { s.Spec.Heroku.App = "no-such-app" })
	e.await("scaler", v1.ConditionReady, metav1.ConditionFalse, v1.ReasonAppNotFound)
	e.delete("scaler")
	e.awaitGone("scaler")
	e.Expect(e.quantity("worker")).To(Equal(2))
}
