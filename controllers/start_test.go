package controllers

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	"sigs.k8s.io/controller-runtime/pkg/cache"

	"github.com/queuescaler/queuescaler/internal/heroku/simulator"
)

// calling makes a fault one of the env's calls of a method, any where it is empty.
func (e *env) calling(method string, f simulator.Fault) simulator.Fault {
	f.Method = method
	f.Match = func(r *http.Request) bool { return r.Header.Get("Authorization") == "Bearer "+e.token }
	return f
}

// awaitStart pushes a job, waits for the dynos that it starts and says how long that took.
func (e *env) awaitStart(within time.Duration) {
	e.Helper()
	since := time.Now()
	e.push("default")
	e.awaitQuantity(2)
	took := time.Since(since)
	e.Logf("from the job to the PATCH: %v", took.Round(10*time.Millisecond))
	e.Expect(took).To(BeNumerically("<", within))
}

// TestAStartIsTriedAgainWhateverTheRefusal has Heroku refuse a start once, for a reason that seems to need
// somebody to cure it.
func TestAStartIsTriedAgainWhateverTheRefusal(t *testing.T) {
	t.Parallel()
	for _, status := range []int{400, 401, 402, 403, 404, 408, 409, 422, 423, 425} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			e := newEnv(t, simulator.Process{Type: "worker"})
			e.create()
			e.awaitReady("scaler")
			w.heroku.Inject(e.scaling(simulator.Fault{Effect: simulator.Status, Status: status, ID: "once", Times: 1}))
			e.awaitStart(time.Minute)
			e.awaitReadyWith("scaler", 2)
		})
	}
}

// TestAReadDelaysNoStart has each read be refused, or not be answered at all, before a job comes.
func TestAReadDelaysNoStart(t *testing.T) {
	t.Parallel()
	faults := map[string]simulator.Fault{"no answer": {Effect: simulator.Hang}}
	for _, status := range []int{401, 403, 404, 422, 500} {
		faults[fmt.Sprint(status)] = simulator.Fault{Effect: simulator.Status, Status: status, ID: "lasting"}
	}
	for name, fault := range faults {
		t.Run(name, func(t *testing.T) {
			e := newEnv(t, simulator.Process{Type: "worker"})
			e.create()
			e.awaitReady("scaler")
			began := e.hangs(fault)
			e.Eventually(began).Should(BeTrue(), "a read should fail")
			e.awaitStart(time.Minute)
		})
	}
}

// hangs makes each of the env's reads fail, and says whether one has begun to.
func (e *env) hangs(fault simulator.Fault) (began func() bool) {
	fault = e.calling(http.MethodGet, fault)
	seen := make(chan struct{}, 1)
	match := fault.Match
	fault.Match = func(r *http.Request) bool {
		if !match(r) {
			return false
		}
		select {
		case seen <- struct{}{}:
		default:
		}
		return true
	}
	e.Cleanup(w.heroku.Inject(fault))
	return func() bool { return len(seen) > 0 }
}

// restart runs an operator for namespaces of their own, has another follow it, and does something in between.
func restart(t *testing.T, namespaces []string, first, between func()) {
	t.Helper()
	watched := cache.Options{DefaultNamespaces: map[string]cache.Config{}}
	for _, namespace := range namespaces {
		watched.DefaultNamespaces[namespace] = cache.Config{}
	}
	g, stop := NewWithT(t), func() error { return nil }
	t.Cleanup(func() { g.Expect(stop()).To(Succeed()) }) // after the clean-ups of what first makes
	manage := func() {
		var err error
		stop, err = startManager(watched)
		g.Expect(err).NotTo(HaveOccurred())
	}
	manage()
	first()
	g.Expect(stop()).To(Succeed())
	between()
	manage()
}

// lastingEnv is an env in one of the namespaces that restart is for. Its scaler outlives an operator.
func lastingEnv(t *testing.T, namespace string, worker int) *env {
	t.Helper()
	e := bareEnv(t, namespace)
	e.addApp(simulator.App{Formation: []simulator.Process{{Type: "worker", Quantity: worker}}})
	return e
}

// TestARestartOutlivesARename has an app get another name while no operator runs.
func TestARestartOutlivesARename(t *testing.T) {
	t.Parallel()
	var e *env
	restart(t, []string{"renamed"}, func() {
		e = lastingEnv(t, "renamed", 0)
		e.create()
		e.awaitReady("scaler")
	}, func() {
		e.Expect(w.heroku.RenameApp(e.app, e.app+"-new")).To(Succeed())
		e.app += "-new"
	})
	e.awaitStart(time.Minute)
	e.awaitReadyWith("scaler", 2)
	e.Expect(e.get("scaler").Status.Target.AppName).To(Equal(e.app))
}

// TestARestartAmongSwappedNames has two apps of one token swap names while no operator runs: each scaler stays
// with its app.
func TestARestartAmongSwappedNames(t *testing.T) {
	t.Parallel()
	var first, second *env
	restart(t, []string{"swapped-1", "swapped-2"}, func() {
		first, second = lastingEnv(t, "swapped-1", 0), lastingEnv(t, "swapped-2", 0)
		second.token = first.token
		second.setSecret("heroku", "HEROKU_API_KEY", first.token)
		for _, e := range []*env{first, second} {
			e.create()
			e.awaitReady("scaler")
		}
	}, func() {
		first.Expect(w.heroku.RenameApp(first.app, second.app)).To(Succeed())
		first.app, second.app = second.app, first.app
	})
	first.awaitStart(time.Minute)
	first.awaitReadyWith("scaler", 2)
	first.Expect(second.quantity("worker")).To(BeZero(), "the other app has no work")
	second.awaitStart(time.Minute)
}

// TestARestartWhileReadsHang has an operator start that Heroku answers no read: what it starts is what was
// known before, and no fewer dynos than that.
func TestARestartWhileReadsHang(t *testing.T) {
	t.Parallel()
	for namespace, quantity := range map[string]int{"hanging-1": 0, "hanging-2": 5} {
		t.Run(namespace, func(t *testing.T) {
			t.Parallel()
			var e *env
			restart(t, []string{namespace}, func() {
				e = lastingEnv(t, namespace, quantity)
				if quantity > 0 {
					e.push("default")
				}
				e.create()
				e.awaitReadyWith("scaler", quantity)
			}, func() {
				e.Expect(e.get("scaler").Status.Quantity).To(HaveValue(BeEquivalentTo(quantity)))
				e.hangs(simulator.Fault{Effect: simulator.Hang})
				e.push("default")
			})
			since := time.Now()
			e.awaitHeroku(func() bool { return len(e.scalings()) > 0 || e.patches() > 0 }, "a start should go out")
			e.Logf("from the start of the operator to the PATCH: %v", time.Since(since).Round(10*time.Millisecond))
			e.awaitQuantity(max(2, quantity))
			for _, scaling := range e.scalings() {
				e.Expect(scaling.NewQuantity).To(BeNumerically(">=", quantity), "a decrease without the proof of zero")
			}
		})
	}
}
