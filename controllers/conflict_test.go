package controllers

import (
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/cache"

	v1 "github.com/queuescaler/queuescaler/api/v1"
	"github.com/queuescaler/queuescaler/internal/heroku/simulator"
)

// twin is an env in another namespace whose scaler is for the same process type, and calls Heroku with
// a token of its own.
func (e *env) twin(namespace string) *env {
	e.Helper()
	twin := bareEnv(e.T, namespace)
	twin.app, twin.redisURL = e.app, e.redisURL
	twin.setSecret("redis", "REDIS_URL", e.redisURL)
	return twin
}

// createAfter creates a scaler that is younger than another: their ages are told in seconds.
func (e *env) createAfter(older *v1.QueueScaler, changes ...change) *v1.QueueScaler {
	e.Helper()
	e.Eventually(time.Now).Should(BeTemporally(">", older.CreationTimestamp.Add(time.Second)))
	return e.create(changes...)
}

// byID names the app by its UUID, which the older scaler's status tells.
func (e *env) byID(older *env) change {
	e.Helper()
	older.awaitAdopted("scaler")
	id := older.get("scaler").Status.Target.AppID
	return func(s *v1.QueueScaler) { s.Spec.Heroku.App = id }
}

func TestConflict(t *testing.T) {
	older := newEnv(t, simulator.Process{Type: "worker"})
	first := older.create()
	younger := older.twin("")
	younger.createAfter(first, younger.byID(older))

	condition := younger.await("scaler", v1.ConditionReady, metav1.ConditionFalse, v1.ReasonTargetConflict)
	older.Expect(condition.Message).To(And(ContainSubstring(older.namespace+"/scaler"), ContainSubstring("older"), ContainSubstring("delete")))
	younger.expectAbnormal("scaler", v1.ReasonTargetConflict, true)
	younger.await("scaler", v1.ConditionActive, metav1.ConditionUnknown, v1.ReasonTargetConflict)
	older.Expect(younger.get("scaler").Status.Target).To(BeNil())
	older.Expect(younger.get("scaler").Status.DesiredQuantity).To(BeNil())
	older.awaitReady("scaler")

	older.push("default")
	older.awaitQuantity(2)
	younger.awaitReads(2)
	older.Expect(younger.patches()).To(BeZero(), "the younger must not scale")

	// The zero would be raised on deletion, if nobody took the target over.
	older.take("default")
	older.beatUntil("the workers should be stopped", func() bool { return older.quantity("worker") == 0 }, false, "worker.1:4:a", "worker.2:4:b")
	older.do("del", "processes")
	older.awaitPatches(2) // requests are recorded when they end, after the quantity has changed
	older.delete("scaler")
	older.awaitGone("scaler")
	younger.awaitReady("scaler")
	older.Expect(older.patches()).To(Equal(2), "the formation is the younger's to scale")
	older.Expect(older.quantity("worker")).To(BeZero())
	older.push("default")
	older.awaitQuantity(2)
	younger.awaitPatches(1)
}

// TestConflictEndsWithTheSpec has the owner name another target: the younger gets the old one.
func TestConflictEndsWithTheSpec(t *testing.T) {
	older := newEnv(t, simulator.Process{Type: "worker"}, simulator.Process{Type: "other"})
	first := older.create()
	older.awaitAdopted("scaler")
	younger := older.twin("")
	younger.createAfter(first)
	younger.await("scaler", v1.ConditionReady, metav1.ConditionFalse, v1.ReasonTargetConflict)
	older.patch("scaler", func(s *v1.QueueScaler) { s.Spec.Heroku.ProcessType = "other" })
	younger.awaitReady("scaler")
	older.awaitReady("scaler")
	older.Expect(older.patches()).To(BeZero(), "the old target is the younger's to scale")
}

// TestConflictThroughTheSpec has an older scaler come to a target that a younger one has.
func TestConflictThroughTheSpec(t *testing.T) {
	older := newEnv(t, simulator.Process{Type: "worker"}, simulator.Process{Type: "other"})
	first := older.create(func(s *v1.QueueScaler) { s.Spec.Heroku.ProcessType = "other" })
	older.awaitAdopted("scaler")
	younger := older.twin("")
	younger.createAfter(first)
	younger.awaitReady("scaler")
	older.patch("scaler", func(s *v1.QueueScaler) { s.Spec.Heroku.ProcessType = "worker" })
	younger.await("scaler", v1.ConditionReady, metav1.ConditionFalse, v1.ReasonTargetConflict)
	older.awaitReady("scaler")
	older.push("default")
	older.awaitQuantity(2)
	older.Expect(younger.patches()).To(BeZero())
	older.Expect(older.quantity("other")).To(Equal(2), "the target left behind is left scaled up")
}

// TestConflictingDeletedTogether leaves workers for the jobs to come, although either of the two could
// take the other for the one who stays.
func TestConflictingDeletedTogether(t *testing.T) {
	t.Parallel()
	for name, order := range map[string][2]int{"the older first": {0, 1}, "the younger first": {1, 0}} {
		t.Run(name, func(t *testing.T) {
			older := newEnv(t, simulator.Process{Type: "worker"})
			first := older.create()
			older.awaitAdopted("scaler")
			younger := older.twin("")
			younger.createAfter(first)
			younger.await("scaler", v1.ConditionReady, metav1.ConditionFalse, v1.ReasonTargetConflict)
			both := []*env{older, younger}
			release := both[order[1]].holdUp()
			both[order[1]].delete("scaler")
			both[order[0]].delete("scaler")
			both[order[0]].awaitGone("scaler")
			release()
			both[order[1]].awaitGone("scaler")
			older.Expect(older.quantity("worker")).To(Equal(2))
		})
	}
}

// holdUp has the env's scaler wait in the midst of a reconcile, for an answer of Heroku's.
func (e *env) holdUp() (release func()) {
	e.Helper()
	held, release := e.hold("")
	e.Eventually(held).Should(BeClosed())
	return release
}

// hold holds the env's requests of a method up, any if it is empty, and closes held when the first has come.
func (e *env) hold(method string) (held <-chan struct{}, release func()) {
	waiting, released := make(chan struct{}), make(chan struct{})
	wait := sync.OnceFunc(func() { close(waiting) })
	remove := w.heroku.BeforeRequest(func(r *http.Request) {
		if r.Header.Get("Authorization") == "Bearer "+e.token && (method == "" || r.Method == method) {
			wait()
			<-released
		}
	})
	release = sync.OnceFunc(func() { remove(); close(released) })
	e.Cleanup(release)
	return waiting, release
}

// TestRestartKeepsTheOwner has an operator start anew among two conflicting scalers.
func TestRestartKeepsTheOwner(t *testing.T) {
	t.Parallel()
	manage := func() (stop func() error) {
		stop, err := startManager(cache.Options{DefaultNamespaces: map[string]cache.Config{restarted[0]: {}, restarted[1]: {}}})
		NewWithT(t).Expect(err).NotTo(HaveOccurred())
		return stop
	}
	var stop func() error
	t.Cleanup(func() {
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
	stop = manage()
	older := bareEnv(t, restarted[0])
	older.addApp(simulator.App{Formation: []simulator.Process{{Type: "worker"}}})
	first := older.create()
	older.awaitAdopted("scaler")
	younger := older.twin(restarted[1])
	younger.createAfter(first)
	younger.await("scaler", v1.ConditionReady, metav1.ConditionFalse, v1.ReasonTargetConflict)

	older.Expect(stop()).To(Succeed())
	stop = manage()
	younger.awaitReads(2)
	older.push("default")
	older.awaitQuantity(2)
	younger.awaitReads(2)
	older.Expect(younger.patches()).To(BeZero())
	younger.await("scaler", v1.ConditionReady, metav1.ConditionFalse, v1.ReasonTargetConflict)
	lost := slices.ContainsFunc(older.events(), func(e eventsv1.Event) bool { return e.Reason == v1.ReasonTargetConflict })
	older.Expect(lost).To(BeFalse(), "the owner should have been the owner throughout")

	older.delete("scaler")
	older.awaitGone("scaler")
	younger.awaitReady("scaler")
}
