package queue

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

// wip is a command that lets a worker vouch for a job of queue a for so many seconds more.
func wip(id string, now time.Time, seconds int) []any {
	return cmd("zadd", "rq:wip:a", now.Unix()+int64(seconds), id)
}

func TestRQ(t *testing.T) {
	client := sharedRedis(t)
	ids := func(n int) []any {
		list := cmd("rpush", "rq:queue:a")
		for i := range n {
			list = append(list, fmt.Sprint("id", i))
		}
		return list
	}
	start := now(t, client)
	for name, test := range map[string]struct {
		write [][]any
		check func(Observation) bool
	}{
		"nothing": {nil, func(o Observation) bool {
			return !o.Active() && o.Orphans == 0 && !o.Heartbeats && o.Processed == -1 && o.NextDue.IsZero() && o.DueKnownUntil.IsZero()
		}},
		"waiting": {[][]any{ids(3), cmd("hset", "rq:job:id0", "enqueued_at", start.Add(-time.Minute).UTC().Format("2006-01-02T15:04:05.000000Z"))},
			func(o Observation) bool { return o.Depth == 3 && o.Latency >= time.Minute && o.Latency < 2*time.Minute }},
		"waiting without a job hash": {[][]any{ids(1)}, func(o Observation) bool { return o.Depth == 1 && o.Latency == 0 }},
		"of another queue":           {[][]any{cmd("rpush", "rq:queue:ab", "x"), cmd("zadd", "rq:wip:ab", "+inf", "x")}, func(o Observation) bool { return !o.Active() }},
		"deferred":                   {[][]any{cmd("zadd", "rq:deferred:a", start.Unix(), "x")}, func(o Observation) bool { return !o.Active() && o.NextDue.IsZero() }},
		"running":                    {[][]any{wip("x", start, 90)}, func(o Observation) bool { return o.InFlight == 1 && o.Orphans == 0 }},
		"running without a limit":    {[][]any{cmd("zadd", "rq:wip:a", "+inf", "x")}, func(o Observation) bool { return o.InFlight == 1 }},
		"left":                       {[][]any{wip("x", start, -1), wip("y", start, 90)}, func(o Observation) bool { return o.InFlight == 1 && o.Orphans == 1 && o.OrphanMark != 0 }},
		"on its way":                 {[][]any{cmd("rpush", "rq:queue:a:intermediate", "x")}, func(o Observation) bool { return o.InFlight == 1 && o.Orphans == 0 }},
		"suspended": {[][]any{ids(2), wip("x", start, 90), wip("y", start, -1), cmd("zadd", "rq:scheduled:a", start.Unix(), "z"), cmd("set", "rq:suspended", 1)}, func(o Observation) bool {
			return o.Depth == 0 && o.InFlight == 1 && o.Orphans == 0 && o.NextDue.IsZero() && slices.Equal(o.Paused, []string{"a"})
		}},
		"scheduled": {[][]any{cmd("zadd", "rq:scheduled:a", start.Unix()+200, "x", start.Unix()+100, "y")}, func(o Observation) bool {
			in := o.NextDue.Sub(start)
			return !o.Active() && in > 98*time.Second && in < 102*time.Second
		}},
		"overdue": {[][]any{cmd("zadd", "rq:scheduled:a", start.Unix()-100, "x")}, func(o Observation) bool { return o.NextDue.Before(o.Start) }},
	} {
		t.Run(name, func(t *testing.T) {
			do(t, client, cmd("flushall"))
			do(t, client, test.write...)
			if o := observe(t, client, Spec{System: RQ, Names: []string{"a"}, DueHorizon: time.Hour}); !test.check(o) {
				t.Errorf("got %+v", o)
			}
		})
	}
}

// TestRQIgnoresSchedule: without a horizon scheduled jobs are not read.
func TestRQIgnoresSchedule(t *testing.T) {
	client := sharedRedis(t)
	do(t, client, cmd("zadd", "rq:scheduled:a", 1, "x"))
	if o := observe(t, client, Spec{System: RQ, Names: []string{"a"}}); !o.NextDue.IsZero() {
		t.Errorf("got %+v", o)
	}
}

// TestRQStuck: a job whose worker died between two of RQ's lists is in flight at first, then an orphan.
func TestRQStuck(t *testing.T) {
	client := sharedRedis(t)
	do(t, client, cmd("rpush", "rq:queue:a:intermediate", "x"))
	observer := newObserver(t, client, Spec{System: RQ, Names: []string{"a"}})
	look := func() Observation {
		o, err := observer.look()
		if err != nil {
			t.Fatal(err)
		}
		return o
	}
	reader := observer.reader.(*knowing).reader.(queues)[0].(*rq)
	if o := look(); o.InFlight != 1 || o.Orphans != 0 {
		t.Errorf("at first: %+v", o)
	}
	reader.passing["x"] = now(t, client).Add(-rqStuck - time.Second)
	if o := look(); o.InFlight != 0 || o.Orphans != 1 {
		t.Errorf("a minute later: %+v", o)
	}
	do(t, client, cmd("del", "rq:queue:a:intermediate"))
	if look(); len(reader.passing) > 0 {
		t.Errorf("remembers %v", reader.passing)
	}
}
