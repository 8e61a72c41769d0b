package controllers

import (
	"testing"
	"time"

	"k8s.io/utils/ptr"
	"pgregory.net/rapid"

	v1 "github.com/queuescaler/queuescaler/api/v1"
	"github.com/queuescaler/queuescaler/internal/queue"
	"github.com/queuescaler/queuescaler/internal/scaling"
)

// moment is what was seen some minutes past the epoch.
type moment struct {
	minute  float64
	mark    uint64
	running bool
	unseen  bool
}

func TestRescue(t *testing.T) {
	t.Parallel()
	off := func(minute float64) moment { return moment{minute: minute, mark: 7} }
	on := func(minute float64) moment { return moment{minute: minute, mark: 7, running: true} }
	start := func(minute float64) []moment { return []moment{off(minute), on(minute + 1), on(minute + 6)} } // and fail
	for name, test := range map[string]struct {
		moments         [][]moment
		hopeful, failed bool
	}{
		"no orphans":                     {[][]moment{{{minute: 1, running: true}, {minute: 9, running: true}}}, true, false},
		"no workers":                     {[][]moment{{off(1), off(100)}}, true, false},
		"just started":                   {[][]moment{{off(1), on(2)}}, true, false},
		"nearly out of time":             {[][]moment{{off(1), on(2), on(6.9)}}, true, false},
		"out of time":                    {[][]moment{{off(1), on(2), on(7)}}, false, false},
		"long out of time":               {[][]moment{{off(1), on(2), on(7), on(100), on(1000)}}, false, false},
		"stopped, for the next try":      {[][]moment{start(1), {off(8)}}, true, false},
		"two tries":                      {[][]moment{start(1), start(10), {off(20)}}, true, false},
		"three tries":                    {[][]moment{start(1), start(10), start(20)}, false, true},
		"three tries, stopped":           {[][]moment{start(1), start(10), start(20), {off(30)}}, false, true},
		"for ever":                       {[][]moment{start(1), start(10), start(20), start(30), {off(40)}}, false, true},
		"then another orphan":            {[][]moment{start(1), start(10), start(20), {{minute: 30, mark: 8}}}, true, false},
		"then none, then the same":       {[][]moment{start(1), start(10), start(20), {{minute: 30}, off(31)}}, true, false},
		"another while out of time":      {[][]moment{start(1), {{minute: 8, mark: 8, running: true}}}, true, false},
		"stopped early":                  {[][]moment{{on(1), off(5), on(6), off(10), on(11), off(15), on(16)}}, true, false},
		"unseen time does not count":     {[][]moment{{on(1), {minute: 5, unseen: true}, on(7)}}, true, false},
		"time after it does":             {[][]moment{{on(1), {minute: 5, unseen: true}, on(7), on(12)}}, false, false},
		"unseen after they had the time": {[][]moment{{on(1), on(6), {minute: 7, unseen: true}, on(8)}}, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			var r rescue
			for _, moments := range test.moments {
				for _, m := range moments {
					if m.unseen {
						r = r.unseen()
					} else {
						r = r.after(epoch.Add(time.Duration(m.minute*float64(time.Minute))), m.mark, m.running, rescuePatience)
					}
				}
			}
			if r.hopeful() != test.hopeful || r.givenUp() != test.failed {
				t.Errorf("hopeful %v, given up %v: %+v", r.hopeful(), r.givenUp(), r)
			}
		})
	}
}

// TestRescueProperty has orphans be given up only after three tries, each of them long enough.
func TestRescueProperty(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var r rescue
		now, ran := epoch, time.Duration(0)
		for range rapid.IntRange(1, 60).Draw(t, "looks") {
			step := time.Duration(rapid.IntRange(1, 400).Draw(t, "seconds")) * time.Second
			running := rapid.Bool().Draw(t, "running")
			now = now.Add(step)
			if running {
				ran += step
			}
			before := r
			r = r.after(now, 7, running, rescuePatience)
			if again := r.after(now, 7, running, rescuePatience); again != r {
				t.Fatalf("a second look at the same moment makes %+v of %+v", again, r)
			}
			if r.failed > before.failed+1 || (r.failed > before.failed && !running) {
				t.Fatalf("%+v follows on %+v", r, before)
			}
		}
		if r.givenUp() && ran < rescueStarts*rescuePatience {
			t.Fatalf("given up after workers ran for %v", ran)
		}
	})
}

// TestOrphansAreWork has orphans start workers and hold them, until they are given up.
func TestOrphansAreWork(t *testing.T) {
	t.Parallel()
	s := idleScope()
	s.snapshot.Heartbeats = false
	s.snapshot.Observation = queue.Observation{Orphans: 2, OrphanMark: 7, Start: s.snapshot.Start, End: s.snapshot.End}
	s.memory.quantity = ptr.To(0)
	decided := func(reason scaling.Reason) {
		t.Helper()
		if s.decide(); s.decision.Reason != reason {
			t.Errorf("decided %s, want %s: %+v", s.decision.Reason, reason, s.memory.rescue)
		}
	}
	for range rescueStarts {
		s.memory.quantity = ptr.To(0)
		decided(scaling.JobsWaiting)
		s.memory.quantity = ptr.To(1)
		decided(scaling.JobsWaiting)
		s.now = s.now.Add(rescuePatience)
		decided(scaling.ProvenIdle)
	}
	s.memory.quantity = ptr.To(0)
	decided(scaling.Asleep)
	if c := s.workersCondition(); c.reason != v1.ReasonOrphansAbandoned || c.status != "False" {
		t.Errorf("the condition is %+v", c)
	}
	s.snapshot.OrphanMark = 8
	decided(scaling.JobsWaiting)
	if c := s.workersCondition(); c.reason == v1.ReasonOrphansAbandoned {
		t.Errorf("the condition is %+v", c)
	}
}

// TestRescueWaitsForLongJobs has what may be a job of a busy worker be held for the idle timeout.
func TestRescueWaitsForLongJobs(t *testing.T) {
	t.Parallel()
	s := idleScope()
	s.object.Spec.IdleTimeoutSeconds = 3600
	s.snapshot.Orphans, s.snapshot.OrphanMark = 1, 7
	s.memory.quantity = ptr.To(1)
	s.decide()
	s.now = s.now.Add(time.Hour - time.Second)
	if s.decide(); !s.memory.rescue.hopeful() {
		t.Error("given up before the idle timeout")
	}
	s.now = s.now.Add(time.Second)
	if s.decide(); s.memory.rescue.hopeful() {
		t.Error("not given up after the idle timeout")
	}
}
