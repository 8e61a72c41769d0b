package queue

import (
	"testing"
	"time"
)

func TestAsynq(t *testing.T) {
	pending := cmd("lpush", "asynq:{q}:pending", "a", "b")
	take := func(id string, lease time.Duration) func(time.Time) [][]any {
		return func(now time.Time) [][]any {
			return [][]any{cmd("lpush", "asynq:{q}:active", id), cmd("zadd", "asynq:{q}:lease", now.Add(lease).Unix(), id)}
		}
	}
	these := func(commands ...[]any) func(time.Time) [][]any { return func(time.Time) [][]any { return commands } }
	type made = []func(time.Time) [][]any
	for name, test := range map[string]struct {
		made
		depth, inFlight, orphans int64
		paused                   bool
	}{
		"nothing":                    {nil, 0, 0, 0, false},
		"tasks wait":                 {made{these(pending)}, 2, 0, 0, false},
		"a group waits":              {made{these(pending, cmd("sadd", "asynq:{q}:groups", "g"))}, 3, 0, 0, false},
		"a group is aggregated":      {made{these(cmd("zadd", "asynq:{q}:aggregation_sets", 9, "set"))}, 1, 0, 0, false},
		"paused":                     {made{these(pending, cmd("set", "asynq:{q}:paused", 1))}, 0, 0, 0, true},
		"tasks run":                  {made{take("a", 30*time.Second), take("b", time.Second)}, 0, 2, 0, false},
		"a server died":              {made{take("a", 30*time.Second), take("b", -2*time.Second)}, 0, 1, 1, false},
		"a lease ends just now":      {made{take("a", 0)}, 0, 1, 0, false},
		"a server died, then paused": {made{take("b", -2*time.Second), these(cmd("set", "asynq:{q}:paused", 1))}, 0, 0, 1, true},
		"without a lease":            {made{these(cmd("lpush", "asynq:{q}:active", "a"))}, 0, 1, 0, false},
		"a lease without a task":     {made{these(cmd("zadd", "asynq:{q}:lease", 1, "a"))}, 0, 0, 1, false},
		"archived":                   {made{these(cmd("zadd", "asynq:{q}:archived", 1, "a"))}, 0, 0, 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			client := sharedRedis(t)
			for _, commands := range test.made {
				do(t, client, commands(now(t, client))...)
			}
			o := observe(t, client, Spec{System: Asynq, Names: []string{"q"}, DueHorizon: time.Hour})
			if o.Depth != test.depth || o.InFlight != test.inFlight || o.Orphans != test.orphans || len(o.Paused) > 0 != test.paused {
				t.Errorf("depth %d, in flight %d, orphans %d, paused %v", o.Depth, o.InFlight, o.Orphans, o.Paused)
			}
			if o.Latency != 0 || !o.NextDue.IsZero() || o.Heartbeats || o.Processed != -1 || o.OrphanMark != 0 != (o.Orphans > 0) {
				t.Errorf("%+v", o)
			}
		})
	}
}

func TestAsynqTellsTimes(t *testing.T) {
	client := sharedRedis(t)
	at := now(t, client)
	do(t, client,
		cmd("lpush", "asynq:{q}:pending", "a"), cmd("hset", "asynq:{q}:t:a", "pending_since", at.Add(-time.Minute).UnixNano()),
		cmd("zadd", "asynq:{q}:scheduled", at.Add(2*time.Hour).Unix(), "b"),
		cmd("zadd", "asynq:{q}:retry", at.Add(time.Hour).Unix(), "c"))
	spec := Spec{System: Asynq, Names: []string{"q"}, DueHorizon: time.Hour}
	o := observe(t, client, spec)
	between(t, "the age", o.Latency, time.Minute-time.Second, time.Minute+5*time.Second)
	between(t, "the time until the retry", o.NextDue.Sub(o.Start), time.Hour-6*time.Second, time.Hour)
	spec.DueHorizon = 0
	if o := observe(t, client, spec); !o.NextDue.IsZero() {
		t.Errorf("scheduled tasks are ignored: %v", o.NextDue)
	}
}
