package controllers

import (
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	v1 "github.com/queuescaler/queuescaler/api/v1"
	"github.com/queuescaler/queuescaler/internal/heroku/simulator"
)

func TestWritingBacksOff(t *testing.T) {
	t.Parallel()
	var w writing
	now, total := epoch, time.Duration(0)
	for range 10 {
		if w.wait(now) != 0 {
			t.Fatal("waits before a failure, or after its wait")
		}
		w.failed(now)
		wait := w.wait(now)
		total += wait
		now = now.Add(wait)
	}
	if least := 240 * time.Second; total < least { // 1+2+4+8+16+32+60+60+60+60 s, a fifth of it jitter
		t.Errorf("ten failures in %s", total)
	}
	if w.wait(now); w.failures != 10 {
		t.Error("failures are not counted")
	}
	if w.succeeded(); w.wait(now) != 0 || w.failures != 0 {
		t.Error("a success changes nothing")
	}
}

// statusWrites are the times at which the operator tried to write a status of the namespace.
func (e *env) statusWrites() int {
	count := 0
	for _, line := range w.writes.in(e.namespace) {
		if path, _, _ := strings.Cut(strings.TrimPrefix(line, "PATCH "), " "); strings.HasSuffix(path, "/status") {
			count++
		}
	}
	return count
}

// TestStatusThatCannotBeWritten: it was tried again 98 times a second, since the workqueue forgot its backoff
// with every reconcile that waited for its turn. Workers are started and stopped meanwhile.
func TestStatusThatCannotBeWritten(t *testing.T) {
	e := newEnv(t, simulator.Process{Type: "worker"})
	e.create(plainList)
	e.awaitReadyWith("scaler", 0)
	allow := w.writes.refuse("/namespaces/" + e.namespace + "/queuescalers/scaler/status")
	defer allow()
	before, begun := e.statusWrites(), time.Now()
	e.push("default")
	e.awaitQuantity(2)
	e.take("default")
	e.awaitQuantity(0)
	e.push("default")
	e.awaitQuantity(2)
	e.Eventually(func() int { return e.statusWrites() - before }).Should(BeNumerically(">=", 5))
	if took := time.Since(begun); took < 12*time.Second*4/5/2 {
		t.Errorf("five attempts in %s", took)
	}
	events := len(e.events())
	allow()
	e.awaitReadyWith("scaler", 2)
	e.Expect(len(e.events())-events).To(BeNumerically("<", 3), "nothing is told again and again")
}

// TestStartWithoutFinalizer: an object whose finalizer cannot be written gets its workers, and they are not
// stopped.
func TestStartWithoutFinalizer(t *testing.T) {
	e := newEnv(t, simulator.Process{Type: "worker"})
	allow := w.writes.refuse("/namespaces/" + e.namespace + "/queuescalers/")
	defer allow()
	e.push("default")
	e.create(plainList)
	e.awaitQuantity(2)
	e.take("default")
	e.awaitReads(3)
	e.Expect(e.quantity("worker")).To(Equal(2))
	allow()
	e.awaitQuantity(0)
	e.Expect(e.get("scaler").Finalizers).To(ContainElement(v1.Finalizer))
}
