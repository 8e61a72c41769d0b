package queue

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// bullDue is the score of a delayed job.
func bullDue(at time.Time, counter int64) int64 { return at.UnixMilli()*4096 + counter }

// taken are commands that have jobs run, of which the first so many have a lock.
func taken(count, locked int) [][]any {
	var commands [][]any
	for i := range count {
		commands = append(commands, cmd("lpush", "bull:q:active", i))
		if i < locked {
			commands = append(commands, cmd("set", fmt.Sprintf("bull:q:%d:lock", i), "token", "px", 30_000))
		}
	}
	return commands
}

func TestBull(t *testing.T) {
	wait := cmd("lpush", "bull:q:wait", "1", "2")
	onPause := cmd("lpush", "bull:q:paused", "3")
	for name, test := range map[string]struct {
		system                   System
		commands                 [][]any
		depth, inFlight, orphans int64
		paused                   bool
	}{
		"nothing":                              {BullMQ, nil, 0, 0, 0, false},
		"jobs wait":                            {BullMQ, [][]any{wait}, 2, 0, 0, false},
		"with a priority":                      {BullMQ, [][]any{wait, cmd("zadd", "bull:q:prioritized", 5<<32, "3")}, 3, 0, 0, false},
		"Bull keeps those in wait":             {Bull, [][]any{wait, cmd("zadd", "bull:q:priority", 5, "2")}, 2, 0, 0, false},
		"paused by BullMQ 5":                   {BullMQ, [][]any{onPause, cmd("hset", "bull:q:meta", "paused", 1)}, 0, 0, 0, true},
		"paused by BullMQ 6":                   {BullMQ, [][]any{wait, cmd("hset", "bull:q:meta", "paused", 1)}, 0, 0, 0, true},
		"not paused":                           {BullMQ, [][]any{wait, cmd("hset", "bull:q:meta", "concurrency", 1)}, 2, 0, 0, false},
		"left from a pause":                    {BullMQ, [][]any{onPause}, 1, 0, 0, false},
		"paused by Bull":                       {Bull, [][]any{wait, onPause, cmd("set", "bull:q:meta-paused", 1)}, 0, 0, 0, true},
		"BullMQ knows nothing of meta-paused":  {BullMQ, [][]any{wait, cmd("set", "bull:q:meta-paused", 1)}, 2, 0, 0, false},
		"a parent waits for its children":      {BullMQ, [][]any{cmd("zadd", "bull:q:waiting-children", 1, "1")}, 0, 0, 0, false},
		"jobs run":                             {BullMQ, taken(3, 3), 0, 3, 0, false},
		"a worker died":                        {BullMQ, taken(3, 2), 0, 2, 1, false},
		"a worker died in a paused queue":      {BullMQ, append(taken(1, 0), cmd("hset", "bull:q:meta", "paused", 1)), 0, 0, 1, true},
		"as many as are looked at":             {Bull, taken(25, 0), 0, 0, 25, false},
		"more than are looked at":              {BullMQ, taken(30, 0), 0, 5, 25, false},
		"the oldest of many are looked at":     {BullMQ, taken(30, 5), 0, 10, 20, false},
		"rate limited":                         {BullMQ, [][]any{wait, cmd("set", "bull:q:limiter", 9, "px", 60_000)}, 2, 0, 0, false},
		"the job of a waiting id is not there": {BullMQ, [][]any{wait, cmd("hset", "bull:q:1", "timestamp", "soon")}, 2, 0, 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			client := sharedRedis(t)
			do(t, client, test.commands...)
			o := observe(t, client, Spec{System: test.system, Names: []string{"q"}, DueHorizon: time.Hour})
			if o.Depth != test.depth || o.InFlight != test.inFlight || o.Orphans != test.orphans || len(o.Paused) > 0 != test.paused {
				t.Errorf("depth %d, in flight %d, orphans %d, paused %v", o.Depth, o.InFlight, o.Orphans, o.Paused)
			}
			if o.Latency != 0 || !o.NextDue.IsZero() || o.Heartbeats || o.Processed != -1 {
				t.Errorf("%+v", o)
			}
		})
	}
}

func TestBullTellsTimes(t *testing.T) {
	client := sharedRedis(t)
	at := now(t, client)
	do(t, client,
		cmd("lpush", "shop:q:wait", "7"), cmd("hset", "shop:q:7", "timestamp", at.Add(-time.Minute).UnixMilli()),
		cmd("zadd", "shop:q:delayed", bullDue(at.Add(time.Hour), 4095), "8", bullDue(at.Add(2*time.Hour), 0), "9"))
	spec := Spec{System: BullMQ, Names: []string{"q"}, KeyPrefix: "shop:", DueHorizon: time.Hour}
	o := observe(t, client, spec)
	between(t, "the age", o.Latency, time.Minute-time.Second, time.Minute+5*time.Second)
	between(t, "the time until the next job", o.NextDue.Sub(o.Start), time.Hour-5*time.Second, time.Hour+time.Millisecond)
	spec.DueHorizon = 0
	if o := observe(t, client, spec); !o.NextDue.IsZero() {
		t.Errorf("scheduled jobs are ignored: %v", o.NextDue)
	}
}

// TestBullJobEndsDuringTheLook has a job that was done before its lock was looked for be no orphan.
func TestBullJobEndsDuringTheLook(t *testing.T) {
	client := sharedRedis(t)
	do(t, client, taken(2, 1)...)
	var result Observation
	step := newBullMQ(Spec{}, "q").look(&result)
	roundTrip(t, client, &step)
	do(t, client, cmd("del", "bull:q:0:lock"), cmd("lrem", "bull:q:active", 1, "0"))
	roundTrip(t, client, &step)
	roundTrip(t, client, &step)
	if step != nil || result.Orphans != 1 {
		t.Errorf("%+v", result)
	}
}

// roundTrip takes one step of a look.
func roundTrip(t *testing.T, client *redis.Client, s *step) {
	t.Helper()
	b := newBatch()
	next, err := (*s)(b)
	if err == nil {
		err = b.exec(context.Background(), client)
	}
	if err != nil {
		t.Fatal(err)
	}
	*s = next
}

// TestKeysOfWrongTypes has every key of every job system be named if another type is there.
func TestKeysOfWrongTypes(t *testing.T) {
	for _, test := range []struct {
		spec  Spec
		keys  []string
		other []any // what is there besides
	}{
		{Spec{System: BullMQ}, []string{"bull:q:wait", "bull:q:paused", "bull:q:prioritized", "bull:q:delayed", "bull:q:active", "bull:q:meta"}, nil},
		{Spec{System: BullMQ}, []string{"bull:q:1"}, cmd("lpush", "bull:q:wait", 1)},
		{Spec{System: Bull}, []string{"bull:q:wait", "bull:q:paused", "bull:q:delayed", "bull:q:active"}, nil},
		{Spec{System: Asynq}, []string{"asynq:{q}:pending", "asynq:{q}:scheduled", "asynq:{q}:retry", "asynq:{q}:groups",
			"asynq:{q}:aggregation_sets", "asynq:{q}:active", "asynq:{q}:lease"}, nil},
		{Spec{System: Asynq}, []string{"asynq:{q}:t:1"}, cmd("lpush", "asynq:{q}:pending", 1)},
		{Spec{System: Stream, Group: "g"}, []string{"q"}, nil},
		{Spec{System: SortedSet}, []string{"q"}, nil},
	} {
		test.spec.Names, test.spec.DueHorizon = []string{"other", "q"}, time.Hour
		for _, key := range test.keys {
			t.Run(key, func(t *testing.T) {
				client := sharedRedis(t)
				do(t, client, cmd("set", key, "x"))
				if test.other != nil {
					do(t, client, test.other)
				}
				_, err := newObserver(t, client, test.spec).look()
				if err == nil || err.Kind != WrongType {
					t.Errorf("got %v", errors.Unwrap(err))
				}
			})
		}
	}
}
