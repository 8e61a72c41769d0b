package queue

import (
	"slices"
	"testing"
	"time"
)

// recordedStage is what a stage shows of both queues, default and mailers.
type recordedStage struct {
	depth, inFlight, orphans int64
	due                      time.Duration // from the recording on; 0 for none
	paused                   bool
}

var recordedStages = map[System]map[string]recordedStage{
	RQ: {
		"queued":    {3, 0, 0, 300 * time.Second, false},
		"in_flight": {1, 1, 0, 196 * time.Second, false},
		"retry":     {1, 1, 0, 195 * time.Second, false},
		"killed":    {1, 1, 0, 195 * time.Second, false},
		"suspended": {0, 1, 0, 0, true},
		"orphaned":  {1, 0, 1, 100 * time.Second, false},
		"recovered": {0, 0, 0, 93 * time.Second, false},
	},
	Resque: {
		"queued":    {3, 0, 0, 58 * time.Second, false},
		"in_flight": {1, 1, 0, 51 * time.Second, false},
		"paused":    {0, 1, 0, 0, true},
		"killed":    {1, 1, 0, 47 * time.Second, false}, // for five minutes
	},
}

func TestRecordedOthers(t *testing.T) {
	client := sharedRedis(t)
	for system, directory := range map[System]string{RQ: "rq", Resque: "resque"} {
		stages := recordedStages[system]
		all := recordings(t, directory)
		if len(all) != len(stages) {
			t.Errorf("%d recordings of %s", len(all), system)
		}
		for _, r := range all {
			t.Run(string(system)+"/"+r.Stage, func(t *testing.T) {
				restored := r.restore(t, client, "")
				o := observe(t, client, Spec{System: system, Names: []string{"default", "mailers"}, DueHorizon: time.Hour})
				want, ok := stages[r.Stage]
				if !ok || o.Depth != want.depth || o.InFlight != want.inFlight || o.Orphans != want.orphans {
					t.Errorf("got %+v, want %+v", o, want)
				}
				if want.paused != slices.Equal(o.Paused, []string{"default", "mailers"}) {
					t.Errorf("paused %v", o.Paused)
				}
				if found(o) != (want.due > 0) || found(o) && (o.NextDue.Sub(restored)-want.due).Abs() > 3*time.Second {
					t.Errorf("due in %v, want %v", o.NextDue.Sub(restored), want.due)
				}
				if wantLatency := system == RQ && want.depth > 0; wantLatency != (o.Latency > 0) || o.Latency > 3*time.Minute {
					t.Errorf("latency %v", o.Latency)
				}
			})
		}
	}
}

// TestResqueKilledLater: five minutes after a worker was killed its job is in flight no more.
func TestResqueKilledLater(t *testing.T) {
	client := sharedRedis(t)
	all := recordings(t, "resque")
	r := all[slices.IndexFunc(all, func(r recording) bool { return r.Stage == "killed" })]
	r.Time += 301
	r.restore(t, client, "")
	if o := observe(t, client, Spec{System: Resque, Names: []string{"default"}}); o.InFlight != 0 || o.Depth != 1 {
		t.Errorf("got %+v", o)
	}
}
