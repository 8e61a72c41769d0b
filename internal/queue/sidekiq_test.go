package queue

import (
	"strings"
	"testing"
	"time"
)

// mine is the spec of most tests.
var mine = Spec{System: Sidekiq, Names: []string{"default"}, ProcessType: "worker", DueHorizon: time.Hour}

const me = "worker.1:4:abc"

// TestDoubtfulData has data that cannot be understood, or not be believed: never less than what may be.
func TestDoubtfulData(t *testing.T) {
	for name, test := range map[string]struct {
		write [][]any
		spec  func(*Spec)
		check func(Observation) bool
	}{
		"broken info": {
			[][]any{cmd("sadd", "processes", me), cmd("hset", me, "info", "{", "busy", "1", "quiet", "false"), cmd("expire", me, 60)}, nil,
			func(o Observation) bool {
				return strings.Contains(o.Doubt, me) && len(o.Processes) == 1 && o.InFlight == 1
			},
		},
		"info without queues": {
			[][]any{cmd("sadd", "processes", me), cmd("hset", me, "info", `{"queues":[]}`, "busy", "0", "quiet", "false"), cmd("expire", me, 60)}, nil,
			func(o Observation) bool { return o.Doubt != "" && len(o.Processes) == 1 },
		},
		"broken info of a process that runs a job of an other queue": {
			[][]any{
				cmd("sadd", "processes", "web.1:4:x"), cmd("hset", "web.1:4:x", "info", "", "busy", "1"), cmd("expire", "web.1:4:x", 60),
				cmd("hset", "web.1:4:x:work", "tid", `{"queue":"mailers"}`),
			}, nil,
			func(o Observation) bool { return o.Doubt != "" && o.InFlight == 0 },
		},
		"busy is no number": {
			[][]any{
				cmd("sadd", "processes", me), cmd("hset", me, "info", serving("default"), "busy", "many"), cmd("expire", me, 60),
				cmd("hset", me+":work", "tid", `{"queue":"default"}`),
			}, nil,
			func(o Observation) bool { return o.Doubt != "" && o.InFlight == 1 },
		},
		"busy below zero": {
			[][]any{cmd("sadd", "processes", me), cmd("hset", me, "info", serving("default"), "busy", "-3"), cmd("expire", me, 60)}, nil,
			func(o Observation) bool { return o.Doubt != "" && o.InFlight == 0 },
		},
		"busy beyond all bounds, twice": {
			[][]any{
				cmd("sadd", "processes", me, me+"2"),
				cmd("hset", me, "info", serving("default"), "busy", "9223372036854775807"), cmd("expire", me, 60),
				cmd("hset", me+"2", "info", serving("default"), "busy", "9223372036854775807"), cmd("expire", me+"2", 60),
			}, nil,
			func(o Observation) bool { return o.InFlight > 1 && o.Active() },
		},
		"broken work": {
			[][]any{
				cmd("sadd", "processes", me), cmd("hset", me, "info", serving("default"), "busy", "2"), cmd("expire", me, 60),
				cmd("hset", me+":work", "a", "{", "b", `{"queue":7}`),
			}, nil,
			func(o Observation) bool { return o.InFlight == 2 && o.Doubt == "" },
		},
		"busy, but the work is not shown": {
			[][]any{cmd("sadd", "processes", me), cmd("hset", me, "info", serving("default", "mailers"), "busy", "2"), cmd("expire", me, 60)}, nil,
			func(o Observation) bool { return o.InFlight == 2 },
		},
		"a heartbeat without expiry": {
			[][]any{cmd("sadd", "processes", me), cmd("hset", me, "info", serving("default"), "busy", "0")}, nil,
			func(o Observation) bool {
				return len(o.Processes) == 1 && o.Processes[0].HeardAgo < 0 && !o.Processes[0].Fresh() && !o.heardAfter(time.Time{})
			},
		},
		"a heartbeat that expires too late": {
			[][]any{cmd("sadd", "processes", me), cmd("hset", me, "info", serving("default"), "busy", "0"), cmd("expire", me, 600)}, nil,
			func(o Observation) bool { return o.Processes[0].HeardAgo < 0 && !o.Processes[0].Fresh() },
		},
		"an old heartbeat": {
			[][]any{cmd("sadd", "processes", me), cmd("hset", me, "info", serving("default"), "busy", "0"), cmd("expire", me, 29)}, nil,
			func(o Observation) bool {
				return o.Live() == 0 && o.Processes[0].HeardAgo >= 31*time.Second && o.Processes[0].HeardAgo < time.Minute
			},
		},
		"a dead process": {
			[][]any{cmd("sadd", "processes", me)}, nil,
			func(o Observation) bool { return len(o.Processes) == 0 && o.Doubt == "" && !o.Active() },
		},
		"a process that has stopped and left its hash": {
			[][]any{cmd("hset", me, "info", serving("default"), "busy", "1"), cmd("expire", me, 60)}, nil,
			func(o Observation) bool { return len(o.Processes) == 0 && !o.Active() },
		},
		"a payload of a megabyte": {
			[][]any{cmd("lpush", "queue:default", `{"enqueued_at":1.5,"args":["`+strings.Repeat("x", 1<<20)+`"]}`)}, nil,
			func(o Observation) bool { return o.Depth == 1 && o.Latency > 0 },
		},
		"a payload that is no JSON": {
			[][]any{cmd("lpush", "queue:default", "x")}, nil,
			func(o Observation) bool { return o.Depth == 1 && o.Latency == 0 },
		},
		"enqueued at a time that is none": {
			[][]any{cmd("lpush", "queue:default", `{"enqueued_at":1e300}`)}, nil,
			func(o Observation) bool { return o.Depth == 1 && o.Latency == 0 },
		},
		"paused": {
			[][]any{
				cmd("sadd", "paused", "default"), cmd("lpush", "queue:default", job("default")), cmd("zadd", "schedule", 1, job("default")),
			}, nil,
			func(o Observation) bool {
				return o.Depth == 0 && o.Latency == 0 && o.NextDue.IsZero() && len(o.Paused) == 1 && o.Paused[0] == "default"
			},
		},
		"all queues, one of them paused": {
			[][]any{
				cmd("sadd", "queues", "default", "mailers"), cmd("sadd", "paused", "mailers"),
				cmd("lpush", "queue:default", "a", "b"), cmd("lpush", "queue:mailers", "c"), cmd("zadd", "retry", 1, job("mailers")),
			}, func(s *Spec) { s.Names = nil },
			func(o Observation) bool { return o.Depth == 2 && len(o.Paused) == 1 && o.NextDue.IsZero() },
		},
		"all queues, a scheduled job of one that is not listed": {
			[][]any{cmd("zadd", "schedule", 5, job("new"))}, func(s *Spec) { s.Names = nil },
			func(o Observation) bool { return !o.NextDue.IsZero() },
		},
		"a scheduled job that is no JSON": {
			[][]any{cmd("zadd", "schedule", 5, "x")}, nil,
			func(o Observation) bool { return !o.NextDue.IsZero() && o.NextDue.Before(o.Start) },
		},
		"scheduled jobs that do not matter": {
			[][]any{cmd("lpush", "schedule", "wrong type"), cmd("zadd", "retry", 5, job("default"))}, func(s *Spec) { s.DueHorizon = 0 },
			func(o Observation) bool { return o.NextDue.IsZero() && o.DueKnownUntil.IsZero() },
		},
	} {
		t.Run(name, func(t *testing.T) {
			client := sharedRedis(t)
			do(t, client, test.write...)
			spec := mine
			if test.spec != nil {
				test.spec(&spec)
			}
			if o := observe(t, client, spec); !test.check(o) {
				t.Errorf("%+v", o)
			}
		})
	}
}

func TestScores(t *testing.T) {
	for score, check := range map[string]func(o Observation) bool{
		"-inf":          func(o Observation) bool { return !o.NextDue.IsZero() && o.NextDue.Before(o.Start) },
		"-5":            func(o Observation) bool { return !o.NextDue.IsZero() && o.NextDue.Before(o.Start) },
		"0":             func(o Observation) bool { return !o.NextDue.IsZero() && o.NextDue.Before(o.Start) },
		"1600000000.25": func(o Observation) bool { return o.NextDue.Before(o.Start.Add(-24 * time.Hour)) },
		"1e300":         func(o Observation) bool { return o.NextDue.After(o.Start.Add(10 * 365 * 24 * time.Hour)) },
		"inf":           func(o Observation) bool { return o.NextDue.After(o.Start.Add(10 * 365 * 24 * time.Hour)) },
		// Sidekiq compares scores in seconds, so that this is far ahead for it too.
		"1900000000000": func(o Observation) bool { return o.NextDue.After(o.Start.Add(10 * 365 * 24 * time.Hour)) },
	} {
		t.Run(score, func(t *testing.T) {
			client := sharedRedis(t)
			do(t, client, cmd("zadd", "schedule", score, job("default")))
			if o := observe(t, client, mine); !check(o) {
				t.Errorf("next due %v", o.NextDue)
			}
		})
	}
}

// TestWrongTypes has another program's data under each of the keys.
func TestWrongTypes(t *testing.T) {
	all := mine
	all.Names = nil
	plain := Spec{System: List, Names: []string{"jobs"}, ProcessingKeys: []string{"busy"}}
	for key, test := range map[string]struct {
		spec  Spec
		write [][]any
	}{
		"queue:default":  {mine, [][]any{cmd("set", "queue:default", "x")}},
		"queue:other":    {all, [][]any{cmd("sadd", "queues", "other"), cmd("set", "queue:other", "x")}},
		"queues":         {all, [][]any{cmd("set", "queues", "x")}},
		"schedule":       {mine, [][]any{cmd("set", "schedule", "x")}},
		"retry":          {mine, [][]any{cmd("lpush", "retry", "x")}},
		"processes":      {mine, [][]any{cmd("set", "processes", "x")}},
		"paused":         {mine, [][]any{cmd("set", "paused", "x")}},
		"stat:processed": {mine, [][]any{cmd("lpush", "stat:processed", "x")}},
		me:               {mine, [][]any{cmd("sadd", "processes", me), cmd("set", me, "x")}},
		me + ":work": {mine, [][]any{
			cmd("sadd", "processes", me), cmd("hset", me, "info", serving("default"), "busy", "1"), cmd("set", me+":work", "x"),
		}},
		me + ":workers": {mine, [][]any{
			cmd("sadd", "processes", me), cmd("hset", me, "info", serving("default"), "busy", "1"), cmd("set", me+":workers", "x"),
		}},
		"jobs": {plain, [][]any{cmd("set", "jobs", "x"), cmd("set", "busy", "x")}},
		"busy": {plain, [][]any{cmd("set", "busy", "x")}},
	} {
		t.Run(key, func(t *testing.T) {
			client := sharedRedis(t)
			do(t, client, test.write...)
			_, err := newObserver(t, client, test.spec).look()
			if err == nil || err.Kind != WrongType || !strings.Contains(err.Message, `"`+key+`"`) {
				t.Errorf("got %v", err)
			}
		})
	}
}

// TestInFlightPerQueue has two process types on one Redis.
func TestInFlightPerQueue(t *testing.T) {
	client := sharedRedis(t)
	beat(t, client, "worker.1:4:a", serving("default", "mailers"), "2")
	beat(t, client, "mailer.1:4:b", serving("mailers"), "3")
	beat(t, client, "urgent.1:4:c", `{"capsules":{"a":{"weights":{"default":1}},"b":{"weights":{"other":0}}}}`, "2")
	do(t, client,
		cmd("hset", "worker.1:4:a:work", "1", `{"queue":"default"}`, "2", `{"queue":"mailers"}`),
		cmd("hset", "mailer.1:4:b:workers", "1", `{"queue":"mailers"}`, "2", `{"queue":"queue:mailers"}`, "3", `{"queue":"mailers"}`),
		cmd("hset", "urgent.1:4:c:work", "1", `{"queue":"default"}`, "2", `{"queue":"other"}`))
	for name, test := range map[string]struct {
		names       []string
		processType string
		inFlight    int64
		processes   string
		elsewhere   bool
	}{
		// A job of mailers that runs on a dyno of worker would be killed with it.
		"default on worker": {[]string{"default"}, "worker", 3, "urgent.1:4:c worker.1:4:a", false},
		"default on urgent": {[]string{"default"}, "urgent", 3, "urgent.1:4:c worker.1:4:a", false},
		"default elsewhere": {[]string{"default"}, "web", 2, "urgent.1:4:c worker.1:4:a", false},
		"default on work":   {[]string{"default"}, "work", 2, "urgent.1:4:c worker.1:4:a", false},
		"mailers on mailer": {[]string{"mailers"}, "mailer", 4, "mailer.1:4:b worker.1:4:a", false},
		"other on urgent":   {[]string{"other"}, "urgent", 2, "urgent.1:4:c", false},
		"other elsewhere":   {[]string{"other"}, "web", 1, "urgent.1:4:c", false},
		"unserved":          {[]string{"nobody"}, "worker", 0, "", true},
		"all":               {nil, "web", 7, "mailer.1:4:b urgent.1:4:c worker.1:4:a", false},
	} {
		t.Run(name, func(t *testing.T) {
			o := observe(t, client, Spec{System: Sidekiq, Names: test.names, ProcessType: test.processType})
			var identities []string
			for _, process := range o.Processes {
				identities = append(identities, process.Identity)
			}
			if got := strings.Join(identities, " "); o.InFlight != test.inFlight || got != test.processes {
				t.Errorf("in flight %d, want %d; processes %q, want %q", o.InFlight, test.inFlight, got, test.processes)
			}
			if o.Elsewhere != test.elsewhere {
				t.Errorf("workers elsewhere: %v", o.Elsewhere)
			}
			if known := o.Processed >= 0; known != (len(o.Processes) == 3) {
				t.Errorf("processed %d beside processes of others", o.Processed)
			}
		})
	}
}

func TestNotServed(t *testing.T) {
	client := sharedRedis(t)
	spec := Spec{System: Sidekiq, Names: []string{"default", "mailers", "slow"}}
	do(t, client, cmd("lpush", "queue:default", "x"), cmd("lpush", "queue:mailers", "x"))
	check := func(want ...string) {
		t.Helper()
		if o := observe(t, client, spec); strings.Join(o.NotServed, " ") != strings.Join(want, " ") {
			t.Errorf("not served %v, want %v", o.NotServed, want)
		}
	}
	check() // without any process nothing can be said
	beat(t, client, "web.1:4:x", serving("other"), "0")
	check()
	beat(t, client, me, serving("default"), "0")
	check("mailers")
	do(t, client, cmd("expire", me, 20))
	check()
	beat(t, client, "worker.2:4:x", serving("slow"), "0")
	check("default", "mailers")
}

// TestReadInfo has the infos of several versions of Sidekiq, and broken ones.
func TestReadInfo(t *testing.T) {
	for info, want := range map[string]struct {
		queues, tag string
		embedded    bool
	}{
		`{"queues":["a","b"],"tag":"shop"}`:                      {"a,b", "shop", false},
		`{"capsules":{"default":{"weights":{"a":1}}},"tag":"x"}`: {"a", "x", false},
		`{"queues":["a"],"embedded":true}`:                       {"a", "", true},
		`{"queues":["a"],"embedded":false}`:                      {"a", "", false},
		`{"queues":["a"],"embedded":"yes"}`:                      {"", "", false},
		`no JSON`:                                                {"", "", false},
		``:                                                       {"", "", false},
	} {
		queues, tag, embedded := readInfo(info)
		if got := strings.Join(queues, ","); got != want.queues || tag != want.tag || embedded != want.embedded {
			t.Errorf("%s: %q %q %v", info, got, tag, embedded)
		}
	}
}
