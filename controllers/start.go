package controllers

import (
	"math"
	"time"

	"k8s.io/utils/ptr"
)

// noteStart begins to wait for the first process of dynos that were started from zero.
func (s *scope) noteStart() {
	m := s.memory
	m.startedAt, m.heardBefore = s.now, map[string]bool{}
	for _, process := range s.snapshot.Processes {
		m.heardBefore[process.Identity] = true
	}
}

// noteWorkerStart measures the time from the start of the dynos to the first heartbeat of a process
// that was not heard before.
func (s *scope) noteWorkerStart() {
	m := s.memory
	if m.startedAt.IsZero() || !s.snapshot.Known() {
		return
	}
	for _, process := range s.snapshot.Processes {
		heard := s.snapshot.Start.Add(-process.HeardAgo)
		if process.Dyno == "" || !process.Fresh() || m.heardBefore[process.Identity] || heard.Before(m.startedAt) {
			continue
		}
		took := heard.Sub(m.startedAt)
		s.object.Status.WorkerStartSeconds = ptr.To(int32(math.Ceil(took.Seconds()))) //nolint:gosec // a boot takes seconds
		m.workerStart = took
		m.startedAt, m.heardBefore = time.Time{}, nil
		return
	}
}
