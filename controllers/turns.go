package controllers

import (
	"sync"
	"time"
)

// turnPace is the least time between two turns. Heroku's rate budget allows an account hardly more than one
// request a second, and the API server has others to serve.
const turnPace = 10 * time.Millisecond

// turns spread out what is not urgent, the stops and the statuses: a wake must find a worker that is free, and
// a machine that is not busy, also when the queues of a hundred objects fall idle together.
type turns struct {
	mu   sync.Mutex
	free int
	// next is when the next turn may begin that nobody waits for yet.
	next time.Time
}

// newTurns leaves three quarters of the workers to wakes.
func newTurns(workers int) *turns { return &turns{free: max(1, workers/4)} }

// begin takes a turn, which ends with end, or says how long to wait before asking again, as one who has
// waited.
func (t *turns) begin(now time.Time, waited bool) (wait time.Duration, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if waited && t.free > 0 {
		t.free-- // its time was kept for it
		return 0, true
	}
	if !waited && t.take(now) {
		return 0, true
	}
	if soon := now.Add(turnPace); t.next.Before(soon) {
		t.next = soon
	}
	wait = t.next.Sub(now)
	t.next = t.next.Add(turnPace)
	return wait, false
}

// spare takes a turn that nobody waits for, if there is one.
func (t *turns) spare(now time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.take(now)
}

// take does what spare does, with the lock held.
func (t *turns) take(now time.Time) bool {
	if t.free == 0 || now.Before(t.next) {
		return false
	}
	t.free--
	t.next = now.Add(turnPace)
	return true
}

func (t *turns) end() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.free++
}

// takeTurn says whether an object may do now what is not urgent.
func (r *Reconciler) takeTurn(s *scope) bool {
	m := s.memory
	if s.hasTurn || s.now.Before(m.turnAt) { // something else has it looked at in between
		return s.hasTurn
	}
	wait, ok := r.turns.begin(s.now, !m.turnAt.IsZero())
	s.hasTurn, m.turnAt = ok, time.Time{}
	if !ok {
		m.turnAt = s.now.Add(wait)
	}
	return ok
}

func (r *Reconciler) endTurn(s *scope) {
	if s.hasTurn {
		r.turns.end()
	}
}
