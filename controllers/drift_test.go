package controllers

import (
	"testing"
	"time"
)

// TestContest has truces grow while somebody goes on, and be forgotten after a quiet time.
func TestContest(t *testing.T) {
	t.Parallel()
	var d drift
	d.edge(true)
	now := epoch
	for i := range contestAfter {
		if d.changed(now) || d.contested(now) {
			t.Fatalf("change %d is a contest", i)
		}
		d.corrected(now)
		now = now.Add(time.Minute)
	}
	if !d.changed(now) || !d.contested(now) {
		t.Fatal("no contest")
	}
	for _, truce := range []time.Duration{shortestTruce, 2 * shortestTruce, 4 * shortestTruce, 8 * shortestTruce, longestTruce, longestTruce} {
		if until := d.truceUntil.Sub(now); until != truce {
			t.Errorf("a truce of %v, want %v", until, truce)
		}
		now = now.Add(truce)
		if d.contested(now) {
			t.Fatal("the truce does not end")
		}
		d.corrected(now)
		if d.changed(now) {
			t.Error("told again")
		}
	}
	now = now.Add(contestPeriod + longestTruce + time.Second)
	d.corrected(now)
	if d.changed(now) || d.contested(now) {
		t.Error("a contest of long ago goes on")
	}
}

// TestEdgesEndDrift has what somebody else set be corrected when the queue falls idle or becomes active.
func TestEdgesEndDrift(t *testing.T) {
	t.Parallel()
	var d drift
	for _, active := range []bool{true, false} {
		d.edge(active)
		d.changed(epoch)
		d.edge(active)
		if !d.foreign {
			t.Errorf("active %v: no edge, and the drift is forgotten", active)
		}
	}
	d.edge(true)
	if d.foreign {
		t.Error("an edge leaves the drift")
	}
}
