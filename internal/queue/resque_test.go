package queue

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

// delayed are commands that schedule a job of a queue of Resque.
func delayed(at int64, queue string) [][]any {
	return [][]any{
		cmd("rpush", fmt.Sprint("resque:delayed:", at), fmt.Sprintf(`{"class":"Job","args":[1],"queue":%q}`, queue)),
		cmd("zadd", "resque:delayed_queue_schedule", at, at),
	}
}

// resqueWorker are commands of a worker that runs a job and was heard so many seconds ago.
func resqueWorker(id string, now time.Time, ago int) [][]any {
	return [][]any{
		cmd("sadd", "resque:workers", id), cmd("set", "resque:worker:"+id, `{"queue":"x"}`),
		cmd("hset", "resque:workers:heartbeat", id, now.Add(-time.Duration(ago)*time.Second).Format(time.RFC3339)),
	}
}

func TestResque(t *testing.T) {
	client := sharedRedis(t)
	start := now(t, client)
	push := cmd("rpush", "resque:queue:a", "1", "2")
	near := func(at, want time.Time) bool { return at.Sub(want).Abs() < 3*time.Second }
	running := func(n int64) func(Observation) bool {
		return func(o Observation) bool { return o.InFlight == n && o.Orphans == 0 && !o.Heartbeats }
	}
	for name, test := range map[string]struct {
		write [][]any
		check func(Observation) bool
	}{
		"nothing": {nil, func(o Observation) bool {
			return !o.Active() && o.NextDue.IsZero() && o.DueKnownUntil.IsZero() && o.Processed == -1
		}},
		"waiting": {[][]any{push}, func(o Observation) bool { return o.Depth == 2 }},
		"paused": {append(delayed(start.Unix(), "a"), push, cmd("set", "resque:pause-all-workers", " True ")), func(o Observation) bool {
			return o.Depth == 0 && o.NextDue.IsZero() && slices.Equal(o.Paused, []string{"a"})
		}},
		"not paused":              {[][]any{push, cmd("set", "resque:pause-all-workers", "false")}, func(o Observation) bool { return o.Depth == 2 && o.Paused == nil }},
		"running":                 {resqueWorker("d1e5:4:a", start, 60), running(1)},
		"running for a while":     {resqueWorker("d1e5:4:a", start, 290), running(1)},
		"dead":                    {resqueWorker("d1e5:4:a", start, 310), running(0)},
		"one of several queues":   {resqueWorker("d1e5:4:b,a,c", start, 1), running(1)},
		"of another queue":        {resqueWorker("d1e5:4:ab", start, 1), running(0)},
		"any queue":               {resqueWorker("d1e5:4:*", start, 1), running(1)},
		"a queue with a colon":    {resqueWorker("d1e5:4:x:a", start, 1), running(0)},
		"a broken id":             {resqueWorker("a", start, 1), running(1)},
		"without a heartbeat":     {[][]any{cmd("sadd", "resque:workers", "d1e5:4:a"), cmd("set", "resque:worker:d1e5:4:a", "{}")}, running(1)},
		"with a broken heartbeat": {[][]any{cmd("sadd", "resque:workers", "d1e5:4:a"), cmd("set", "resque:worker:d1e5:4:a", "{}"), cmd("hset", "resque:workers:heartbeat", "d1e5:4:a", "?")}, running(1)},
		"free":                    {resqueWorker("d1e5:4:a", start, 1)[:1], running(0)},
		"gone":                    {resqueWorker("d1e5:4:a", start, 1)[1:], running(0)},
		"scheduled":               {slices.Concat(delayed(start.Unix()+100, "b"), delayed(start.Unix()+200, "a")), func(o Observation) bool { return near(o.NextDue, start.Add(200*time.Second)) && !o.Active() }},
		"of one second":           {slices.Concat(delayed(start.Unix()+100, "b"), delayed(start.Unix()+100, "a")), func(o Observation) bool { return near(o.NextDue, start.Add(100*time.Second)) }},
		"of another queue, later": {delayed(start.Unix()+100, "b"), func(o Observation) bool { return o.NextDue.IsZero() && o.DueKnownUntil.IsZero() }},
		"beyond the horizon":      {delayed(start.Unix()+7200, "a"), func(o Observation) bool { return o.NextDue.IsZero() && near(o.DueKnownUntil, start.Add(time.Hour)) }},
		"not to be read":          {[][]any{cmd("rpush", fmt.Sprint("resque:delayed:", start.Unix()), "?"), cmd("zadd", "resque:delayed_queue_schedule", start.Unix(), start.Unix())}, found},
	} {
		t.Run(name, func(t *testing.T) {
			do(t, client, cmd("flushall"))
			do(t, client, test.write...)
			if o := observe(t, client, Spec{System: Resque, Names: []string{"a"}, DueHorizon: time.Hour}); !test.check(o) {
				t.Errorf("got %+v", o)
			}
		})
	}
}

func TestResquePrefix(t *testing.T) {
	client := sharedRedis(t)
	do(t, client, cmd("rpush", "resque:shop:queue:a", "1"))
	if o := observe(t, client, Spec{System: Resque, Names: []string{"a"}, KeyPrefix: "resque:shop:"}); o.Depth != 1 {
		t.Errorf("got %+v", o)
	}
}

// TestResqueSchedule: other queues' overdue jobs, more than one look goes through, do not hide a job.
func TestResqueSchedule(t *testing.T) {
	client := sharedRedis(t)
	start := now(t, client)
	for i := range int64(2*delayedTimes + 10) {
		do(t, client, delayed(start.Unix()-1000+i, "b")...)
	}
	do(t, client, delayed(start.Unix()-5, "a")...)
	observer := newObserver(t, client, Spec{System: Resque, Names: []string{"a"}, DueHorizon: time.Hour})
	looks := 0
	for o := (Observation{}); o.NextDue.IsZero(); looks++ {
		var err *Error
		if o, err = observer.look(); err != nil || looks > 2 {
			t.Fatalf("look %d: %+v, %v", looks, o, err)
		}
		if !found(o) && (o.DueKnownUntil.IsZero() || o.DueKnownUntil.After(o.Start)) {
			t.Errorf("look %d claims to know all: %+v", looks, o)
		}
	}
	if looks != 3 {
		t.Errorf("found after %d looks", looks)
	}
	// Then from the beginning again.
	do(t, client, delayed(start.Unix()-2000, "a")...)
	if o, _ := observer.look(); o.NextDue.After(start.Add(-1900 * time.Second)) {
		t.Errorf("got %+v", o)
	}
}

// TestResqueCrowd: where more jobs are due at one time than a look reads, one may be of the queue.
func TestResqueCrowd(t *testing.T) {
	client := sharedRedis(t)
	at := now(t, client).Unix() + 10
	for range delayedJobs {
		do(t, client, delayed(at, "b")...)
	}
	if o := observe(t, client, Spec{System: Resque, Names: []string{"a"}, DueHorizon: time.Hour}); !found(o) {
		t.Errorf("got %+v", o)
	}
}
