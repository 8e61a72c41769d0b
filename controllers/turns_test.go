package controllers

import (
	"testing"
	"time"
)

// TestTurns has more objects come than may write side by side: they are told to come back one after the
// other, and whoever ends makes room.
func TestTurns(t *testing.T) {
	t.Parallel()
	turns := newTurns(8)
	for range 2 {
		if wait, ok := turns.begin(epoch); !ok || wait != 0 {
			t.Fatalf("no turn, wait %v", wait)
		}
	}
	for n := range 3 {
		if wait, ok := turns.begin(epoch); ok || wait != time.Duration(n+1)*turnPace {
			t.Errorf("turn %v, wait %v", ok, wait)
		}
	}
	later := epoch.Add(time.Second) // all of them could have come back
	if wait, ok := turns.begin(later); ok || wait != turnPace {
		t.Errorf("turn %v, wait %v", ok, wait)
	}
	turns.end()
	if _, ok := turns.begin(later); !ok {
		t.Error("no turn after one ended")
	}
	if newTurns(1).free != 1 {
		t.Error("a single worker never writes")
	}
}
