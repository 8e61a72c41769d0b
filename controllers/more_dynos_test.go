package controllers

import (
	"testing"
	"time"

	"k8s.io/utils/ptr"

	v1 "github.com/queuescaler/queuescaler/api/v1"
	"github.com/queuescaler/queuescaler/internal/heroku"
	"github.com/queuescaler/queuescaler/internal/queue"
)

// TestAStartReadsWhereMoreDynosMayRun has jobs wait, and a person have started dynos that the operator was not
// told of: a PATCH to 2 would stop those dynos in their jobs.
func TestAStartReadsWhereMoreDynosMayRun(t *testing.T) {
	t.Parallel()
	const since = 10 * time.Minute // the last answer
	three := []queue.Process{process(1), process(2), process(3)}
	for name, test := range map[string]struct {
		quantity  int
		processes []queue.Process
		change    func(s *scope)
		want      bool
	}{
		"nobody is heard":                {0, nil, func(*scope) {}, false},
		"as many are heard":              {3, three, func(s *scope) { s.memory.confirmed = true }, false},
		"more are heard":                 {0, three, func(*scope) {}, true},
		"more, as the last start failed": {0, three, func(s *scope) { s.memory.uncertain = true }, true},
		"more, left behind by a stop":    {0, three, func(s *scope) { s.memory.vouchedUntil = s.now.Add(10 * time.Second) }, false},
		"more, heard before the answer":  {0, three, func(s *scope) { s.memory.readAt = s.now }, false},
		"more, and a stop was lost":      {0, three, func(s *scope) { s.memory.lost = lostStop{at: s.now} }, false},
		"the quantity should do":         {2, nil, func(*scope) {}, true},
		"Heroku vouched for it":          {2, nil, func(s *scope) { s.memory.confirmed = true }, false},
		"it should do, a stop was lost":  {2, nil, func(s *scope) { s.memory.lost = lostStop{at: s.now} }, false},
	} {
		t.Run(name, func(t *testing.T) {
			s := idleScope()
			s.memory.quantity, s.memory.readAt = ptr.To(test.quantity), s.now.Add(-since)
			s.snapshot.Depth, s.snapshot.Processes = 1, test.processes
			test.change(s)
			s.decide()
			if got := s.mayRunMore(); got != test.want {
				t.Errorf("got %v", got)
			}
			must, _ := (&Reconciler{}).mustRead(s)
			if s.wantsStart() && (must != test.want || s.startsFirst() == test.want) {
				t.Errorf("must read: %v, starts first: %v", must, s.startsFirst())
			}
		})
	}
}

// TestALateStopIsNoDrift has Heroku carry out a stop whose answer was lost, after a start.
func TestALateStopIsNoDrift(t *testing.T) {
	t.Parallel()
	s := idleScope()
	s.object.Spec.DriftPolicy = v1.DriftReport
	s.memory.quantity, s.memory.lost = ptr.To(2), lostStop{at: s.now}
	(&Reconciler{}).noteDrift(s, heroku.Formation{Quantity: 0})
	if s.memory.drift.foreign {
		t.Error("the operator's own stop is taken for somebody else's")
	}
}

// TestJobsBehindAMarkAreAwaited has jobs wait behind the mark of a drain, while the quantity is not known.
func TestJobsBehindAMarkAreAwaited(t *testing.T) {
	t.Parallel()
	s := idleScope()
	s.object.Status.DrainStartTime, s.object.Status.Target = stamp(0), s.memory.target
	s.memory.quantity, s.snapshot.Depth = nil, 1
	s.memory.retries.restAt = s.now.Add(settledRest)
	s.decide()
	if must, _ := (&Reconciler{}).mustRead(s); !must || s.readPriority() != heroku.Wake {
		t.Errorf("must read: %v, priority %v", must, s.readPriority())
	}
}
