package queue

import (
	"testing"
	"time"

	"github.com/queuescaler/queuescaler/test/jobclients"
	"github.com/queuescaler/queuescaler/test/redisserver"
)

// rqState is what RQ says.
type rqState struct {
	Depth, Orphans, Failed int64
	InFlight               int64 `json:"in_flight"`
	Due                    float64
	Paused                 bool
}

// TestLiveRQ follows jobs through a real RQ, and compares with what it says itself.
func TestLiveRQ(t *testing.T) {
	if testing.Short() {
		t.Skip("runs a real RQ")
	}
	t.Parallel()
	url := redisserver.StartT(t, redisserver.Options{}).URL()
	spec := Spec{System: RQ, Names: []string{"default", "mailers"}, DueHorizon: time.Hour}
	rq := jobclients.RQ(t)
	w := &witness{t, clientOf(t, url), spec, rq.Console(t, url, "default")}
	eval := func(expressions ...string) {
		for _, expression := range expressions {
			w.console.Eval(expression, nil)
		}
	}
	worker := func(queues ...string) *jobclients.Worker { return rq.Worker(t, url, nil, queues...) }
	await := func(stage string, want func(Observation) bool) Observation {
		t.Helper()
		seen := w.await(stage, want)
		var said rqState
		w.console.Eval("state()", &said)
		if seen.Depth != said.Depth && !said.Paused || seen.InFlight != said.InFlight || seen.Orphans != said.Orphans || said.Paused != (len(seen.Paused) == 2) {
			t.Errorf("%s: got %+v, RQ says %+v", stage, seen, said)
		}
		if found(seen) != (said.Due > 0) || found(seen) && seen.NextDue.Sub(timeOf(said.Due)).Abs() > time.Second {
			t.Errorf("%s: due %v, RQ says %v", stage, seen.NextDue, timeOf(said.Due))
		}
		return seen
	}
	await("nothing", func(o Observation) bool { return !o.Active() && o.NextDue.IsZero() })

	// The second job waits for the first, so it is none that a worker could take.
	eval(`setattr(jobs, "first", default.enqueue(jobs.long, 600))`,
		`default.enqueue(jobs.long, 1, depends_on=jobs.first).id`, `mailers.enqueue(jobs.long, 1).id`)
	o := await("queued", func(o Observation) bool { return o.Depth == 2 && o.NextDue.IsZero() })
	if o.Latency <= 0 || o.Latency > time.Minute {
		t.Errorf("latency %v", o.Latency)
	}

	first := worker("default")
	await("running", func(o Observation) bool { return o.Depth == 1 && o.InFlight == 1 })
	eval(`suspend(connection)`)
	await("suspended", func(o Observation) bool { return o.Depth == 0 && o.InFlight == 1 && len(o.Paused) == 2 })
	eval(`resume(connection)`)

	first.Kill()
	await("killed", func(o Observation) bool { return o.InFlight == 1 && o.Orphans == 0 })
	eval(`[connection.zadd("rq:wip:default", {id: time.time() - 1}) for id in connection.zrange("rq:wip:default", 0, -1)]`)
	o = await("orphaned", func(o Observation) bool { return o.InFlight == 0 && o.Orphans == 1 })
	if o.Wanted() != 2 || o.OrphanMark == 0 {
		t.Errorf("orphaned: %+v", o)
	}

	// A worker cleans up when it starts, but in all of RQ once in a quarter of an hour.
	eval(`connection.delete("rq:clean_registries:default")`, `mailers.enqueue(jobs.fail, retry=Retry(max=1, interval=200)).id`,
		`default.enqueue_in(timedelta(seconds=300), jobs.long, 1).id`)
	second := worker("default", "mailers")
	await("recovered, and one to retry", func(o Observation) bool {
		return !o.Active() && o.Orphans == 0 && found(o) && time.Until(o.NextDue) < 201*time.Second
	})
	var said rqState
	if w.console.Eval("state()", &said); said.Failed != 1 {
		t.Errorf("RQ says %+v", said)
	}
	second.Stop()
	await("stopped", func(o Observation) bool { return !o.Active() && found(o) })
}
