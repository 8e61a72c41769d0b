package controllers

import (
	"testing"
	"time"
)

// TestTurns has more objects come than may go: they come back one after the other, and whoever ends makes
// room.
func TestTurns(t *testing.T) {
	t.Parallel()
	turns := newTurns(8)
	begin := func(now time.Time, waited bool, want time.Duration) {
		t.Helper()
		if wait, ok := turns.begin(now, waited); wait != want || ok != (want == 0) {
			t.Errorf("turn %v, wait %v, want %v", ok, wait, want)
		}
	}
	begin(epoch, false, 0)
	begin(epoch, false, turnPace)
	begin(epoch.Add(turnPace/2), false, 3*turnPace/2)
	begin(epoch.Add(turnPace), false, 2*turnPace) // before those who have waited
	if turns.spare(epoch.Add(turnPace)) {
		t.Error("a turn to spare while others wait")
	}
	begin(epoch.Add(turnPace), true, 0)
	later := epoch.Add(time.Hour)
	begin(later, true, turnPace) // none is free
	if turns.spare(later.Add(time.Hour)) {
		t.Error("a turn to spare while none is free")
	}
	turns.end()
	begin(later.Add(turnPace), false, turnPace)
	begin(later.Add(turnPace), true, 0)
	turns.end()
	if !turns.spare(later.Add(time.Hour)) {
		t.Error("no turn to spare, though nobody wants one")
	}
	if newTurns(1).free != 1 {
		t.Error("a single worker never has a turn")
	}
}

// TestATurnIsKept has an object be looked at before its turn: that costs it nothing.
func TestATurnIsKept(t *testing.T) {
	t.Parallel()
	r, s := &Reconciler{turns: newTurns(8)}, idleScope()
	if !r.takeTurn(idleScope()) {
		t.Fatal("no turn, though nobody has one")
	}
	for range 2 {
		if r.takeTurn(s) || s.memory.turnAt != s.now.Add(turnPace) {
			t.Errorf("turn at %v", s.memory.turnAt)
		}
		if s.decide(); r.next(s) != turnPace {
			t.Errorf("next in %v", r.next(s))
		}
	}
	s.now = s.memory.turnAt
	for range 2 {
		if !r.takeTurn(s) {
			t.Error("no turn after it has waited")
		}
	}
}
