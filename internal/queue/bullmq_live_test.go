package queue

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/queuescaler/queuescaler/test/jobclients"
	"github.com/queuescaler/queuescaler/test/redisserver"
)

// bullCounts is what a library of Node says of its queue.
type bullCounts struct {
	Waiting, Prioritized, Paused, Active, Delayed int64
	WaitingChildren                               int64 `json:"waiting-children"`
}

// witness compares what is observed with what the library says.
type witness struct {
	*testing.T
	client  *redis.Client
	spec    Spec
	console *jobclients.Console
}

// await observes until it sees what it wants.
func (w *witness) await(what string, want func(Observation) bool) Observation {
	w.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for {
		o := observe(w, w.client, w.spec)
		if want(o) {
			return o
		}
		if time.Now().After(deadline) {
			w.Fatalf("%s: still %+v", what, o)
		}
		time.Sleep(10 * time.Millisecond) // between two looks
	}
}

// expireLocks has the locks of killed workers end, as they do after 30 s.
func (w *witness) expireLocks() {
	w.Helper()
	ctx := context.Background()
	for _, key := range w.client.Keys(ctx, "*:lock").Val() {
		do(w, w.client, cmd("pexpire", key, 0))
	}
}

func TestRealBull(t *testing.T) {
	libraries := map[string]func(testing.TB) jobclients.System{
		"bullmq5": jobclients.BullMQ5, "bullmq6": jobclients.BullMQ6, "bull": jobclients.Bull,
	}
	for name, library := range libraries {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			system := library(t)
			server := redisserver.StartT(t, redisserver.Options{})
			spec := Spec{System: BullMQ, Names: []string{"emails"}, DueHorizon: 24 * time.Hour}
			if name == "bull" {
				spec.System = Bull
			}
			w := &witness{t, clientOf(t, server.URL()), spec, system.Console(t, server.URL(), "emails")}
			worker := func() *jobclients.Worker { return system.Worker(t, server.URL(), nil, "emails") }
			w.waits()
			w.pauses()
			w.works(worker)
		})
	}
}

// add adds a job with data and options of the library.
func (w *witness) add(data, options string) {
	w.Helper()
	w.console.Eval(fmt.Sprintf("queue.add('job', %s, %s).then(job => job.id)", data, options), nil)
}

func (w *witness) counts() (c bullCounts) {
	w.Helper()
	w.console.Eval("queue.getJobCounts()", &c)
	return c
}

func (w *witness) waits() {
	if o := observe(w, w.client, w.spec); o.Wanted() != 0 || o.InFlight != 0 || !o.NextDue.IsZero() || o.Paused != nil {
		w.Errorf("nothing yet: %+v", o)
	}
	w.add("{hold: true}", "{}")
	w.add("{hold: true}", "{priority: 5}")
	w.add("{hold: true}", "{}")
	w.add("{}", "{delay: 3600000}")
	o := observe(w, w.client, w.spec)
	if c := w.counts(); o.Depth != 3 || o.Depth != c.Waiting+c.Prioritized || c.Delayed != 1 {
		w.Errorf("%+v while the library counts %+v", o, c)
	}
	between(w, "the time until the next job", o.NextDue.Sub(o.Start), 59*time.Minute, time.Hour)
	between(w, "the age of the oldest job", o.Latency, 0, time.Minute)
}

func (w *witness) pauses() {
	w.console.Eval("queue.pause()", nil)
	w.add("{hold: true}", "{}")
	o := observe(w, w.client, w.spec)
	var paused bool
	if w.console.Eval("queue.isPaused()", &paused); !paused {
		w.Error("the library is not paused")
	}
	if o.Depth != 0 || len(o.Paused) != 1 || !o.NextDue.IsZero() {
		w.Errorf("paused: %+v", o)
	}
	w.console.Eval("queue.resume()", nil)
	if o := observe(w, w.client, w.spec); o.Depth != 4 || o.Paused != nil {
		w.Errorf("resumed: %+v", o)
	}
}

func (w *witness) works(worker func() *jobclients.Worker) {
	first := worker()
	w.await("running", func(o Observation) bool { return o.Depth == 2 && o.InFlight == 2 && o.Orphans == 0 })
	if c := w.counts(); c.Active != 2 {
		w.Errorf("the library counts %+v", c)
	}
	first.Kill()
	w.await("killed", func(o Observation) bool { return o.InFlight == 2 && o.Orphans == 0 })
	w.expireLocks()
	left := w.await("left by a dead worker", func(o Observation) bool { return o.InFlight == 0 && o.Orphans == 2 })
	if again := observe(w, w.client, w.spec); again.OrphanMark == 0 || again.OrphanMark != left.OrphanMark {
		w.Errorf("the mark was %x, and is %x", left.OrphanMark, again.OrphanMark)
	}

	second := worker()
	w.await("recovered", func(o Observation) bool { return o.InFlight == 2 && o.Orphans == 0 })
	second.Release()
	w.await("done", func(o Observation) bool { return !o.Active() && o.Orphans == 0 })
	if c := w.counts(); c.Waiting+c.Prioritized+c.Active+c.Paused != 0 {
		w.Errorf("the library counts %+v", c)
	}
	w.add("{fail: true}", "{attempts: 2, backoff: 60000}")
	o := w.await("to be tried again", func(o Observation) bool { return !o.Active() && o.NextDue.Sub(o.Start) < 2*time.Minute })
	between(w, "the time until the next try", o.NextDue.Sub(o.Start), 30*time.Second, time.Minute)
	second.Stop()
}

// TestBullMQParentsWait has a parent be no work while its children are.
func TestBullMQParentsWait(t *testing.T) {
	for name, library := range map[string]func(testing.TB) jobclients.System{"bullmq5": jobclients.BullMQ5, "bullmq6": jobclients.BullMQ6} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			system := library(t)
			server := redisserver.StartT(t, redisserver.Options{})
			w := &witness{t, clientOf(t, server.URL()), Spec{System: BullMQ, Names: []string{"parents"}}, system.Console(t, server.URL(), "parents")}
			w.console.Eval(`new lib.FlowProducer({connection}).add({name: 'job', queueName: name, children: [{name: 'job', data: {}, queueName: 'children'}]}).then(() => 1)`, nil)
			if o := observe(t, w.client, w.spec); o.Depth != 0 || w.counts().WaitingChildren != 1 {
				t.Errorf("the child waits: %+v, %+v", o, w.counts())
			}
			worker := system.Worker(t, server.URL(), nil, "children")
			w.await("the child is done", func(o Observation) bool { return o.Depth == 1 })
			worker.Stop()
		})
	}
}
