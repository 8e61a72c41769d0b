package controllers

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/queuescaler/queuescaler/internal/heroku/simulator"
)

// calling makes a fault one of the env's calls of a method, any where it is empty.
func (e *env) calling(method string, f simulator.Fault) simulator.Fault {
	f.Method = method
	f.Match = func(r *http.Request) bool { return r.Header.Get("Authorization") == "Bearer "+e.token }
	return f
}

// pushed pushes a job, and awaitStart waits for the dynos that it starts and says how long that took.
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
