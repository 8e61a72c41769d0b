package controllers

import (
	"sync"
	"time"
)

// turnPace is the time between two statuses that have had to wait for their turn.
const turnPace = 2 * time.Millisecond

// turns bounds how many statuses are written side by side: a wake must find a worker that is free, also
// when the queues of a hundred objects fall idle together, and the API server is slow.
type turns struct {
	mu   sync.Mutex
	free int
	// next is when the next status that found none free may try again.
	next time.Time
}

// newTurns leaves three quarters of the workers to others than those who write.
func newTurns(workers int) *turns { return &turns{free: max(1, workers/4)} }

// begin takes a turn, which ends with end, or says how long to wait before the next try.
func (t *turns) begin(now time.Time) (wait time.Duration, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.free > 0 {
		t.free--
		return 0, true
	}
	if t.next.Before(now) {
		t.next = now
	}
	t.next = t.next.Add(turnPace)
	return t.next.Sub(now), false
}

func (t *turns) end() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.free++
}
