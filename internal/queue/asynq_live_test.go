package queue

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/queuescaler/queuescaler/test/jobclients"
	"github.com/queuescaler/queuescaler/test/redisserver"
)

// asynqInfo is what Asynq's Inspector says of a queue.
type asynqInfo struct {
	Pending, Active, Scheduled, Retry, Aggregating, Groups int64
	Latency                                                time.Duration
	Paused                                                 bool
}

func TestRealAsynq(t *testing.T) {
	t.Parallel()
	server := redisserver.StartT(t, redisserver.Options{})
	asynq := jobclients.Asynq(t)
	spec := Spec{System: Asynq, Names: []string{"critical"}, DueHorizon: 24 * time.Hour}
	w := &witness{t, clientOf(t, server.URL()), spec, asynq.Console(t, server.URL(), "critical")}
	info := func() (i asynqInfo) {
		t.Helper()
		w.console.Eval("info", &i)
		return i
	}
	eval := func(commands ...string) {
		t.Helper()
		for _, command := range commands {
			w.console.Eval(command, nil)
		}
	}

	if o := observe(t, w.client, spec); o.Wanted() != 0 || o.InFlight != 0 || !o.NextDue.IsZero() || o.Paused != nil {
		t.Errorf("nothing yet: %+v", o)
	}
	eval("add 0 hold", "add 0 hold", "add 0 hold", "add 3600 plain")
	o := observe(t, w.client, spec)
	if i := info(); o.Depth != 3 || o.Depth != i.Pending || i.Scheduled != 1 {
		t.Errorf("%+v while the Inspector says %+v", o, i)
	}
	between(t, "the time until the next task", o.NextDue.Sub(o.Start), 59*time.Minute, time.Hour)
	between(t, "the age of the oldest task", o.Latency, time.Microsecond, time.Minute)

	eval("pause")
	if o := observe(t, w.client, spec); o.Depth != 0 || len(o.Paused) != 1 || !info().Paused {
		t.Errorf("paused: %+v", o)
	}
	eval("resume")

	first := asynq.Worker(t, server.URL(), nil, "critical")
	w.await("running", func(o Observation) bool { return o.Depth == 1 && o.InFlight == 2 && o.Orphans == 0 })
	if i := info(); i.Active != 2 {
		t.Errorf("the Inspector says %+v", i)
	}
	first.Stop() // puts its tasks back
	o = w.await("stopped", func(o Observation) bool { return o.Depth == 3 && o.InFlight == 0 })
	if i := info(); i.Pending != 3 {
		t.Errorf("the Inspector says %+v", i)
	}

	second := asynq.Worker(t, server.URL(), nil, "critical")
	w.await("running again", func(o Observation) bool { return o.InFlight == 2 })
	second.Kill()
	w.await("killed", func(o Observation) bool { return o.InFlight == 2 && o.Orphans == 0 })
	expireLeases(t, w.client, "asynq:{critical}:lease")
	w.await("left by a dead server", func(o Observation) bool { return o.InFlight == 0 && o.Orphans == 2 && o.OrphanMark != 0 })

	third := asynq.Worker(t, server.URL(), nil, "critical")
	w.await("recovered", func(o Observation) bool { return o.InFlight == 2 && o.Orphans == 0 })
	third.Release()
	w.await("done", func(o Observation) bool { return !o.Active() && o.Orphans == 0 })
	eval("add 7200 plain", "add 0 fail")
	w.await("to be tried again", func(Observation) bool { return info().Retry == 1 })
	third.Stop()

	eval("group reports")
	if o, i := observe(t, w.client, spec), info(); o.Depth != 1 || i.Groups != 1 || i.Aggregating != 1 {
		t.Errorf("a group: %+v, %+v", o, i)
	}
}

// TestAsynqServersShowQueues: a queue without a task yet is known if a real server serves it.
func TestAsynqServersShowQueues(t *testing.T) {
	t.Parallel()
	server := redisserver.StartT(t, redisserver.Options{})
	asynq := jobclients.Asynq(t)
	client := clientOf(t, server.URL())
	observer := newObserver(t, client, Spec{System: Asynq, Names: []string{"low"}})
	look := func() Observation {
		observer.reader.(*knowing).known.search.next = time.Time{}
		o, err := observer.look()
		if err != nil {
			t.Fatal(err)
		}
		return o
	}
	if o := look(); len(o.Absent) != 1 {
		t.Errorf("nothing yet: %+v", o)
	}
	worker := asynq.Worker(t, server.URL(), nil, "low")
	defer worker.Stop()
	for deadline := time.Now().Add(time.Minute); len(look().Absent) > 0; time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("never known")
		}
	}
	if o := observe(t, client, Spec{System: Asynq, Names: []string{"lower"}}); len(o.Absent) != 1 || !slices.Equal(o.Existing, []string{"low"}) {
		t.Errorf("another name: %+v", o)
	}
}

// TestQueuesOfServer: what a server says of itself may be anything, or cut off.
func TestQueuesOfServer(t *testing.T) {
	info := "\x0a\x04host\x10\x80\x01\x2a\x07\x0a\x03low\x10\x01\x2a\x08\x0a\x04high\x10\x06"
	if got := queuesOfServer([]byte(info)); !slices.Equal(got, []string{"low", "high"}) {
		t.Errorf("%q", got)
	}
	for end := range len(info) {
		queuesOfServer([]byte(info[:end]))
	}
	for _, hostile := range []string{"\x2a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", "\xff", "\x2b\x01", "\x2a\x02\x0a\x7f"} {
		if got := queuesOfServer([]byte(hostile)); len(got) > 0 {
			t.Errorf("%q became %q", hostile, got)
		}
	}
}

// expireLeases has the leases of killed servers be long over, as they are a minute later.
func expireLeases(t *testing.T, client *redis.Client, key string) {
	t.Helper()
	for _, id := range client.ZRange(context.Background(), key, 0, -1).Val() {
		do(t, client, cmd("zadd", key, now(t, client).Add(-time.Minute).Unix(), id))
	}
}
