package controllers

import (
	"strings"
	"testing"

	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	v1 "github.com/queuescaler/queuescaler/api/v1"
	"github.com/queuescaler/queuescaler/internal/heroku/simulator"
	"github.com/queuescaler/queuescaler/internal/queue"
)

// TestWrongName has dynos run, and a queue of the right Redis be named wrongly: they are kept, for jobs of the
// right queue may be running.
func TestWrongName(t *testing.T) {
	e := newEnv(t, simulator.Process{Type: "worker", Quantity: 2})
	e.do("set", "bull:jobs:id", 5)
	e.create(func(s *v1.QueueScaler) { s.Spec.Queue = v1.QueueSpec{Type: v1.QueueBull, Names: []string{"job"}} })
	condition := e.await("scaler", v1.ConditionQueueReachable, metav1.ConditionFalse, v1.ReasonQueueNotFound)
	for _, part := range []string{`"job"`, `"jobs"`, "spec.queue", "mayBeAbsent"} {
		e.Expect(condition.Message).To(ContainSubstring(part))
	}
	e.await("scaler", v1.ConditionReady, metav1.ConditionFalse, v1.ReasonQueueNotFound)
	e.expectAbnormal("scaler", v1.ReasonQueueNotFound, false)
	e.await("scaler", v1.ConditionActive, metav1.ConditionTrue, v1.ReasonQueueNotFound)
	e.awaitReads(2)
	e.Expect(e.quantity("worker")).To(Equal(2))
	e.Expect(e.get("scaler").Status.KnownQueues).To(BeNil())

	e.patch("scaler", func(s *v1.QueueScaler) { s.Spec.Queue.Names = []string{"jobs"} })
	e.awaitQuantity(0)
	e.awaitReadyWith("scaler", 0)
	e.Expect(e.get("scaler").Status.KnownQueues.Names).To(Equal([]string{"jobs"}))
}

// TestAbsentQueueStarts has a job come into one queue while another is not known.
func TestAbsentQueueStarts(t *testing.T) {
	e := newEnv(t, simulator.Process{Type: "worker"})
	e.create(func(s *v1.QueueScaler) {
		s.Spec.Queue = v1.QueueSpec{Type: v1.QueueBull, Names: []string{"default", "mailers"}}
	})
	e.await("scaler", v1.ConditionReady, metav1.ConditionFalse, v1.ReasonQueueNotFound)
	e.Expect(e.quantity("worker")).To(Equal(0))
	e.do("lpush", "bull:default:wait", 1)
	e.awaitQuantity(2)
	e.do("del", "bull:default:wait")
	e.await("scaler", v1.ConditionActive, metav1.ConditionTrue, v1.ReasonQueueNotFound)
	e.do("set", "bull:mailers:id", 1)
	e.awaitQuantity(0)
	e.awaitReadyWith("scaler", 0)
}

// TestSeenQueue has a list be seen once: from then on that it is gone means that it is empty.
func TestSeenQueue(t *testing.T) {
	e := newEnv(t, simulator.Process{Type: "worker", Quantity: 2})
	e.create(func(s *v1.QueueScaler) {
		s.Spec.Queue = v1.QueueSpec{Type: v1.QueueList, Names: []string{"jobs"}, MaxJobSeconds: ptr.To[int32](1)}
	})
	e.await("scaler", v1.ConditionActive, metav1.ConditionTrue, v1.ReasonQueueNotFound)
	e.do("lpush", "jobs", "x")
	e.await("scaler", v1.ConditionActive, metav1.ConditionTrue, v1.ReasonJobsWaiting)
	e.do("del", "jobs")
	e.awaitQuantity(0)
	e.awaitReadyWith("scaler", 0)
}

// TestSeenIsWrittenDown: who comes after knows what was seen, at the same place only.
func TestSeenIsWrittenDown(t *testing.T) {
	t.Parallel()
	s := idleScope()
	if s.noteSeen(); s.object.Status.KnownQueues != nil {
		t.Error("written without a place")
	}
	s.place, s.snapshot.Seen = "here", []string{"jobs"}
	s.noteSeen()
	if known := s.object.Status.KnownQueues; known == nil || known.Place != "here" || len(s.seen()) != 1 {
		t.Errorf("%+v", known)
	}
	s.snapshot.Err = &queue.Error{}
	s.snapshot.Seen = nil
	if s.noteSeen(); len(s.seen()) != 1 {
		t.Error("a look that failed makes forget")
	}
	s.place = "elsewhere"
	if len(s.seen()) != 0 {
		t.Error("known at another place")
	}
	s.snapshot.Err, s.snapshot.End = nil, epoch
	if s.noteSeen(); s.object.Status.KnownQueues != nil {
		t.Error("a place where nothing was seen is taken for the other")
	}
}

// TestAbsenceStalls only when a new app has had the time for its first job.
func TestAbsenceStalls(t *testing.T) {
	t.Parallel()
	s := idleScope()
	s.snapshot.Absent = []string{queue.AllQueues}
	p := s.worst()
	if p == nil || p.reason != v1.ReasonQueueNotFound || !strings.HasPrefix(p.message, "no queue of Sidekiq") || s.stalled(p) {
		t.Fatalf("%+v", p)
	}
	if s.now = s.now.Add(missingPatience); !s.stalled(p) {
		t.Error("nobody is asked to act")
	}
}

// TestAbsenceMessage: names out of Redis may be anything.
func TestAbsenceMessage(t *testing.T) {
	t.Parallel()
	message := absenceMessage(v1.QueueBull, queue.Snapshot{Observation: queue.Observation{
		Absent: []string{"a", "b"}, Existing: []string{"\x00\n\"", "jobs"}, Unasked: "the Redis user may not run scan: give it +scan",
	}})
	for _, part := range []string{`queues "a", "b" are not known`, `"\x00\n\"", "jobs"`, "give it +scan"} {
		if !strings.Contains(message, part) {
			t.Errorf("no %s in %s", part, message)
		}
	}
}
