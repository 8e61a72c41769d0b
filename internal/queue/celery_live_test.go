package queue

import (
	"testing"
	"time"

	"github.com/queuescaler/queuescaler/test/jobclients"
	"github.com/queuescaler/queuescaler/test/redisserver"
)

// TestLiveCelery follows tasks through a real Celery, with and without a key prefix.
func TestLiveCelery(t *testing.T) {
	if testing.Short() {
		t.Skip("runs a real Celery")
	}
	for name, prefix := range map[string]string{"plain": "", "prefix": "shop:"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			testLiveCelery(t, prefix)
		})
	}
}

func testLiveCelery(t *testing.T, prefix string) {
	url := redisserver.StartT(t, redisserver.Options{}).URL()
	env := []string{"KEY_PREFIX=" + prefix}
	celery := jobclients.Celery(t)
	worker := func(env ...string) *jobclients.Worker {
		return celery.Worker(t, url, env, "celery", "mailers")
	}
	spec := Spec{System: Celery, Names: []string{"celery", "mailers"}, KeyPrefix: prefix, DueHorizon: time.Hour}
	both := &witness{t, clientOf(t, url), spec, celery.Console(t, url, "celery", env...)}
	eval := func(expressions ...string) {
		for _, expression := range expressions {
			both.console.Eval(expression, nil)
		}
	}
	seenAs := func(change func(*Spec)) *witness {
		other := *both
		change(&other.spec)
		return &other
	}
	kombu := func(stage string, want int64) {
		t.Helper()
		var said struct{ Depth int64 }
		if both.console.Eval("state()", &said); said.Depth != want {
			t.Errorf("%s: kombu counts %d messages, want %d", stage, said.Depth, want)
		}
	}
	dueIn := func(o Observation, low, high time.Duration) bool {
		in := o.NextDue.Sub(o.Start)
		return in > low && in <= high
	}
	later := func(o Observation) bool { return !o.Active() && dueIn(o, 100*time.Second, 200*time.Second) }

	both.await("nothing", func(o Observation) bool { return !o.Active() && o.NextDue.IsZero() })
	eval(`early.apply_async((1,), countdown=300, queue="mailers").id`,
		`early.apply_async((1,), eta=datetime.now(timezone(timedelta(hours=5))) + timedelta(seconds=200)).id`)
	both.await("later", later)
	kombu("later", 2)

	// A worker takes messages long before their time, and puts them back when it stops.
	first := worker(env...)
	both.await("reserved", func(o Observation) bool {
		if o.Active() {
			t.Errorf("while a worker takes the messages: %+v", o)
		}
		return later(o) && both.client.HLen(t.Context(), prefix+"unacked").Val() == 2
	})
	kombu("reserved", 0)
	first.Stop()
	both.await("put back", later)
	kombu("put back", 2)

	eval(`late.apply_async((600,), priority=6).id`, `early.apply_async((1,), queue="mailers").id`)
	both.await("queued", func(o Observation) bool { return o.Depth == 2 && o.InFlight == 0 })
	kombu("queued", 4)
	second := worker(env...)
	both.await("running", func(o Observation) bool { return o.Depth == 0 && o.InFlight == 1 })
	seenAs(func(s *Spec) { s.Names = []string{"mailers"} }).await("another queue runs", func(o Observation) bool { return !o.Active() && dueIn(o, 200*time.Second, 300*time.Second) })

	// What is acknowledged before it runs is not seen to run.
	eval(`early.delay(600).id`)
	active := func(want int64) bool {
		var said struct{ Active int64 }
		both.console.Eval("state()", &said)
		return said.Active == want
	}
	both.await("hidden", func(o Observation) bool { return o.Depth == 0 && o.InFlight == 1 && active(2) })

	second.Kill()
	both.await("killed", func(o Observation) bool { return o.InFlight == 1 && o.Orphans == 0 })
	seenAs(func(s *Spec) { s.ClaimIdle = time.Millisecond }).await("orphaned", func(o Observation) bool { return o.InFlight == 0 && o.Orphans == 1 && found(o) })

	worker(append(env, "VISIBILITY_TIMEOUT=1")...)
	both.await("recovered", func(o Observation) bool { return o.InFlight == 1 && active(1) })
}
