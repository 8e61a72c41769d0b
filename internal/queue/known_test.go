package queue

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/queuescaler/queuescaler/test/redisserver"
)

// shown is how a job system shows a queue called emails.
type shown struct {
	spec Spec
	// label is what the queue is called; emails if empty.
	label string
	// empty leaves the queue as it is without jobs; nil where nothing is left of it.
	empty [][]any
	// push puts a job there, and take takes it and leaves nothing at all.
	push, take []any
	// prefixed writes the signs of the queue behind a prefix with its colon, which spec.KeyPrefix has not.
	prefixed [][]any
	prefix   string
	// others says that Redis tells which queues there are.
	others bool
}

// hidden are all job systems, each with a queue that may be there and may not.
var hidden = map[System]shown{
	Sidekiq: {
		empty: [][]any{cmd("sadd", "queues", "emails", "mailers")}, others: true,
		push: cmd("lpush", "queue:emails", `{"queue":"emails"}`), take: cmd("del", "queue:emails"),
		prefix: "shop", prefixed: [][]any{cmd("sadd", "shop:queues", "emails")},
	},
	List: {
		push: cmd("lpush", "emails", "x"), take: cmd("del", "emails"),
		prefix: "shop", prefixed: [][]any{cmd("lpush", "shop:emails", "x")},
	},
	SortedSet: {
		push: cmd("zadd", "emails", 1, "x"), take: cmd("del", "emails"),
		prefix: "shop", prefixed: [][]any{cmd("zadd", "shop:emails", 1, "x")},
	},
	Stream: {
		spec: Spec{Group: "g"}, label: "emails (group g)",
		empty: [][]any{cmd("xgroup", "create", "emails", "g", "$", "mkstream")},
		push:  cmd("eval", "redis.call('xadd', 'emails', '*', 'a', 'b') redis.pcall('xgroup', 'create', 'emails', 'g', '0') return 1", 0),
		take:  cmd("del", "emails"),
		// Keys of streams have no prefix of the job system's.
		prefix: "shop", prefixed: [][]any{cmd("xgroup", "create", "shop:emails", "g", "$", "mkstream")},
	},
	BullMQ: {
		empty: [][]any{cmd("hset", "bull:emails:meta", "version", "bullmq:5.0.0"), cmd("hset", "bull:mailers:meta", "version", "bullmq:5.0.0")}, others: true,
		push: cmd("lpush", "bull:emails:wait", "1"), take: cmd("del", "bull:emails:wait"),
		prefix: "n8n-bull", prefixed: [][]any{cmd("hset", "n8n-bull:emails:meta", "version", "x"), cmd("set", "n8n-bull:emails:id", 7)},
	},
	Bull: {
		empty: [][]any{cmd("set", "bull:emails:id", 7), cmd("set", "bull:mailers:id", 7)}, others: true,
		push: cmd("lpush", "bull:emails:wait", "1"), take: cmd("del", "bull:emails:wait"),
		prefix: "n8n-bull", prefixed: [][]any{cmd("set", "n8n-bull:emails:id", 7)},
	},
	Asynq: {
		empty: [][]any{cmd("sadd", "asynq:queues", "emails", "mailers")}, others: true,
		push: cmd("lpush", "asynq:{emails}:pending", "1"), take: cmd("del", "asynq:{emails}:pending"),
	},
	RQ: {
		empty: [][]any{cmd("sadd", "rq:queues", "rq:queue:emails", "rq:queue:mailers")}, others: true,
		push: cmd("rpush", "rq:queue:emails", "1"), take: cmd("del", "rq:queue:emails"),
	},
	Celery: {
		empty: [][]any{
			cmd("sadd", "_kombu.binding.emails", "emails\x06\x16\x06\x16emails"), cmd("sadd", "_kombu.binding.mailers", "mailers\x06\x16\x06\x16mailers"),
		}, others: true,
		push: cmd("lpush", "emails", "{}"), take: cmd("del", "emails"),
		prefix: "shop", prefixed: [][]any{cmd("sadd", "shop:_kombu.binding.emails", "emails\x06\x16\x06\x16emails")},
	},
	Resque: {
		empty: [][]any{cmd("sadd", "resque:queues", "emails", "mailers")}, others: true,
		push: cmd("rpush", "resque:queue:emails", "{}"), take: cmd("del", "resque:queue:emails"),
		prefix: "resque", prefixed: [][]any{cmd("sadd", "resque:queues", "emails")},
	},
}

func (s shown) asking(system System, names ...string) Spec {
	spec := s.spec
	spec.System, spec.Names, spec.DueHorizon, spec.Period = system, names, time.Hour, time.Minute
	return spec
}

func (s shown) labelled(name string) string {
	if s.label == "" {
		return name
	}
	return strings.Replace(s.label, "emails", name, 1)
}

// eachHidden runs a test for every job system, with an empty Redis.
func eachHidden(t *testing.T, test func(t *testing.T, client *redis.Client, system System, s shown)) {
	t.Helper()
	if len(hidden) != len(readers) {
		t.Errorf("%d job systems of %d", len(hidden), len(readers))
	}
	for system, s := range hidden {
		t.Run(string(system), func(t *testing.T) { test(t, sharedRedis(t), system, s) })
	}
}

// TestAbsentQueues: what Redis never showed is absent, not empty.
func TestAbsentQueues(t *testing.T) {
	eachHidden(t, func(t *testing.T, client *redis.Client, system System, s shown) {
		if o := observe(t, client, s.asking(system, "emails")); !slices.Equal(o.Absent, []string{s.labelled("emails")}) || len(o.Seen) > 0 {
			t.Errorf("in an empty database: %q, seen %q", o.Absent, o.Seen)
		}
		do(t, client, s.empty...)
		do(t, client, s.push)
		o := observe(t, client, s.asking(system, "emails", "mails"))
		if !slices.Equal(o.Absent, []string{s.labelled("mails")}) || !slices.Equal(o.Seen, []string{s.labelled("emails")}) {
			t.Errorf("a wrong name: %q, seen %q", o.Absent, o.Seen)
		}
		if o := observe(t, client, s.asking(system, "mails")); s.others && !slices.Equal(o.Existing, []string{"emails", "mailers"}) {
			t.Errorf("a wrong name, and there are %q", o.Existing)
		}
		spec := s.asking(system, "mails")
		spec.MayBeAbsent = true
		if o := observe(t, client, spec); len(o.Absent) > 0 {
			t.Errorf("where it may be absent: %q", o.Absent)
		}
	})
}

// TestEmptyQueues: what the job system lists is there, without jobs.
func TestEmptyQueues(t *testing.T) {
	eachHidden(t, func(t *testing.T, client *redis.Client, system System, s shown) {
		if s.empty == nil {
			t.Skip("nothing is left of it")
		}
		do(t, client, s.empty...)
		if o := observe(t, client, s.asking(system, "emails")); len(o.Absent) > 0 || o.Active() {
			t.Errorf("%+v", o)
		}
	})
}

// TestEmptiedQueues: a queue that was seen, and of which all is gone, is empty.
func TestEmptiedQueues(t *testing.T) {
	eachHidden(t, func(t *testing.T, client *redis.Client, system System, s shown) {
		spec := s.asking(system, "emails")
		observer := newObserver(t, client, spec)
		look := func() Observation {
			o, err := observer.look()
			if err != nil {
				t.Fatal(err)
			}
			return o
		}
		if len(look().Absent) != 1 {
			t.Error("it is not absent at first")
		}
		do(t, client, s.push)
		o := look()
		if len(o.Absent) > 0 || !o.Active() || !slices.Equal(o.Seen, []string{s.labelled("emails")}) {
			t.Errorf("with a job: %+v", o)
		}
		do(t, client, s.take)
		if o := look(); len(o.Absent) > 0 || o.Active() {
			t.Errorf("emptied: %+v", o)
		}
		spec.Seen = o.Seen
		if o := observe(t, client, spec); len(o.Absent) > 0 {
			t.Errorf("another operator was told, and misses %q", o.Absent)
		}
	})
}

// TestQueuesElsewhere: a prefix without its colon, or another database, is absent.
func TestQueuesElsewhere(t *testing.T) {
	server := redisserver.StartT(t, redisserver.Options{})
	client, other := clientOf(t, server.URL()), clientOf(t, server.URL()+"/1")
	for system, s := range hidden {
		t.Run(string(system), func(t *testing.T) {
			do(t, client, cmd("flushall"))
			do(t, client, s.empty...)
			do(t, client, s.push)
			do(t, client, s.prefixed...)
			if o := observe(t, other, s.asking(system, "emails")); len(o.Absent) != 1 {
				t.Errorf("in another database: %+v", o)
			}
			if s.prefix == "" {
				return
			}
			spec := s.asking(system, "emails")
			spec.KeyPrefix = s.prefix
			if o := observe(t, client, spec); len(o.Absent) != 1 || o.Active() {
				t.Errorf("without the colon: %+v", o)
			}
			if spec.KeyPrefix += ":"; system == List || system == SortedSet {
				return
			}
			if o := observe(t, client, spec); len(o.Absent) > 0 {
				t.Errorf("with the colon: %+v", o)
			}
		})
	}
}

// TestOtherJobSystems: a queue of one job system is absent for every other, or its keys are of a wrong type.
func TestOtherJobSystems(t *testing.T) {
	sameKeys := map[[2]System]bool{{Bull, BullMQ}: true, {BullMQ, Bull}: true, {Celery, List}: true, {List, Celery}: true}
	eachHidden(t, func(t *testing.T, client *redis.Client, system System, s shown) {
		do(t, client, s.empty...)
		do(t, client, s.push)
		for other, asked := range hidden {
			if other == system || sameKeys[[2]System{system, other}] {
				continue
			}
			o, err := newObserver(t, client, asked.asking(other, "emails")).look()
			if err == nil && len(o.Absent) != 1 {
				t.Errorf("as %s: %+v", other, o)
			}
		}
	})
}

// TestWrongQueueName is the report of a queue called jobs whose users were told to name default.
func TestWrongQueueName(t *testing.T) {
	client := sharedRedis(t)
	do(t, client, cmd("set", "bull:jobs:id", 5), cmd("lpush", "bull:jobs:wait", 4, 5), cmd("lpush", "bull:jobs:active", 3), cmd("set", "bull:jobs:3:lock", "token"))
	o := observe(t, client, Spec{System: Bull, Names: []string{"default"}})
	if !slices.Equal(o.Absent, []string{"default"}) || !slices.Equal(o.Existing, []string{"jobs"}) {
		t.Errorf("absent %q, there are %q", o.Absent, o.Existing)
	}
}

// TestWorkersShowQueues: a queue that never had a job is there if a worker that lives serves it by name.
func TestWorkersShowQueues(t *testing.T) {
	dead := time.Now().Add(-time.Hour).UTC().Format(time.RFC3339)
	alive := time.Now().UTC().Format(time.RFC3339)
	for name, c := range map[string]struct {
		system System
		names  []string
		keys   [][]any
		known  bool
	}{
		"a Sidekiq process": {Sidekiq, []string{"emails"}, [][]any{
			cmd("sadd", "processes", me), cmd("hset", me, "info", serving("emails"), "busy", 0), cmd("expire", me, 60),
		}, true},
		"a Sidekiq process, all queues": {Sidekiq, nil, [][]any{
			cmd("sadd", "processes", me), cmd("hset", me, "info", serving("emails"), "busy", 0), cmd("expire", me, 60),
		}, true},
		"a Sidekiq process of others": {Sidekiq, []string{"emails"}, [][]any{
			cmd("sadd", "processes", me), cmd("hset", me, "info", serving("mails"), "busy", 0), cmd("expire", me, 60),
		}, false},
		"a dead Sidekiq process": {Sidekiq, []string{"emails"}, [][]any{
			cmd("sadd", "processes", me), cmd("hset", me, "info", serving("emails"), "busy", 0), cmd("expire", me, 10),
		}, false},
		"no Sidekiq, all queues": {Sidekiq, nil, nil, false},
		"Sidekiq, all queues":    {Sidekiq, nil, [][]any{cmd("sadd", "queues", "emails")}, true},
		"an RQ worker":           {RQ, []string{"emails"}, [][]any{cmd("sadd", "rq:workers:emails", "rq:worker:x")}, true},
		"a BullMQ worker":        {BullMQ, []string{"emails"}, [][]any{cmd("set", "bull:emails:stalled-check", 1, "px", 30000)}, true},
		"a Resque worker": {Resque, []string{"emails"}, [][]any{
			cmd("sadd", "resque:workers", "host:4:high,emails"), cmd("hset", "resque:workers:heartbeat", "host:4:high,emails", alive),
		}, true},
		"a Resque worker of any queue": {Resque, []string{"emails"}, [][]any{
			cmd("sadd", "resque:workers", "host:4:*"), cmd("hset", "resque:workers:heartbeat", "host:4:*", alive),
		}, false},
		"a dead Resque worker": {Resque, []string{"emails"}, [][]any{
			cmd("sadd", "resque:workers", "host:4:emails"), cmd("hset", "resque:workers:heartbeat", "host:4:emails", dead),
		}, false},
		"a Celery queue of another exchange": {Celery, []string{"emails"}, [][]any{
			cmd("sadd", "_kombu.binding.tasks", "mail.#\x06\x16\x06\x16emails"),
		}, true},
	} {
		t.Run(name, func(t *testing.T) {
			client := sharedRedis(t)
			do(t, client, c.keys...)
			if o := observe(t, client, Spec{System: c.system, Names: c.names, ProcessType: "worker"}); (len(o.Absent) == 0) != c.known {
				t.Errorf("%+v", o)
			}
		})
	}
}

// TestWrongGroup: a stream that is there, and whose workers are in another group.
func TestWrongGroup(t *testing.T) {
	client := sharedRedis(t)
	do(t, client, cmd("xgroup", "create", "emails", "workers", "$", "mkstream"))
	o := observe(t, client, Spec{System: Stream, Names: []string{"emails"}, Group: "worker"})
	if !slices.Equal(o.Absent, []string{"emails (group worker)"}) || !slices.Equal(o.Existing, []string{"emails (group workers)"}) {
		t.Errorf("absent %q, there are %q", o.Absent, o.Existing)
	}
}

// TestKnownQueuesCostNothing: once a queue is known, no command more is sent than without the question.
func TestKnownQueuesCostNothing(t *testing.T) {
	eachHidden(t, func(t *testing.T, client *redis.Client, system System, s shown) {
		do(t, client, s.empty...)
		do(t, client, s.push)
		cost := func(spec Spec) int64 {
			observer := newObserver(t, client, spec)
			for range 2 {
				if _, err := observer.look(); err != nil {
					t.Fatal(err)
				}
			}
			before := Count().Commands
			if _, err := observer.look(); err != nil {
				t.Fatal(err)
			}
			return Count().Commands - before
		}
		unasked := s.asking(system, "emails")
		unasked.MayBeAbsent = true
		if asked, unasked := cost(s.asking(system, "emails")), cost(unasked); asked != unasked {
			t.Errorf("%d commands, without the question %d", asked, unasked)
		}
	})
}

// TestSearchIsBounded: the names are anybody's, and there may be any number of them.
func TestSearchIsBounded(t *testing.T) {
	eachHidden(t, func(t *testing.T, client *redis.Client, system System, s shown) {
		if !s.others {
			t.Skip("Redis does not tell")
		}
		hostile := strings.Repeat("\xff\x00é\n", 100_000)
		do(t, client, cmd("eval", `
			for i = 1, 2000 do
				redis.call('SADD', 'queues', 'q' .. i) redis.call('SADD', 'asynq:queues', 'q' .. i)
				redis.call('SADD', 'rq:queues', 'rq:queue:q' .. i) redis.call('SADD', 'resque:queues', 'q' .. i)
				redis.call('HSET', 'bull:q' .. i .. ':meta', 'version', 'x') redis.call('SET', 'bull:q' .. i .. ':id', 1)
				redis.call('SADD', '_kombu.binding.q' .. i, 'q\6\22\6\22q' .. i)
			end
			redis.call('SADD', 'queues', ARGV[1]) redis.call('SADD', 'asynq:queues', ARGV[1])
			redis.call('SADD', '_kombu.binding.q1', 'q\6\22\6\22' .. ARGV[1])
			return 1`, 0, hostile))
		observer := newObserver(t, client, s.asking(system, "emails"))
		before := Count()
		o, err := observer.look()
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range o.Existing {
			if len(name) > existingBytes+len("…") {
				t.Errorf("a name of %d bytes", len(name))
			}
		}
		if len(o.Existing) == 0 || len(o.Existing) > existingNames {
			t.Errorf("%d names", len(o.Existing))
		}
		if commands := Count().Commands - before.Commands; commands > 600 {
			t.Errorf("%d commands", commands)
		}
		before = Count()
		if _, err := observer.look(); err != nil {
			t.Fatal(err)
		}
		if commands := Count().Commands - before.Commands; commands > 40 {
			t.Errorf("%d commands when it is not time to search", commands)
		}
	})
}

// TestSearchGoesOn: where a scan ends, the next one goes on, a minute later.
func TestSearchGoesOn(t *testing.T) {
	client := sharedRedis(t)
	do(t, client, cmd("eval", `for i = 1, 12000 do redis.call('SET', 'x' .. i, 1) end redis.call('SET', 'bull:jobs:id', 1) return 1`, 0))
	observer := newObserver(t, client, Spec{System: Bull, Names: []string{"default"}})
	search := &observer.reader.(*knowing).known.search
	for range 12000/(scanPage*scanPages) + 2 {
		search.next = time.Time{}
		if o, err := observer.look(); err != nil || slices.Equal(o.Existing, []string{"jobs"}) {
			return
		}
	}
	t.Error("never found")
}

func TestDistance(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want int
	}{
		{"", "", 0}, {"", "abc", 3}, {"abc", "", 3}, {"abc", "abc", 0}, {"email", "emails", 1}, {"kitten", "sitting", 3}, {"mail", "email", 1},
	} {
		if got := distance(c.a, c.b); got != c.want || distance(c.b, c.a) != got {
			t.Errorf("from %q to %q: %d, want %d", c.a, c.b, got, c.want)
		}
	}
}

// TestPlace: what is known of queues holds for one place, and has no secret in it.
func TestPlace(t *testing.T) {
	spec := Spec{System: List, Names: []string{"emails"}}
	place := func(url string, change func(*Spec)) string {
		changed := spec
		change(&changed)
		return endpointOf(t, url).Place(changed)
	}
	same := func(*Spec) {}
	at := place("redis://u:old@h:6379/0", same)
	if at != place("redis://other:new@h:6379/0", func(s *Spec) { s.Names = []string{"x"}; s.Period = time.Hour }) {
		t.Error("it changes with the credentials or the names")
	}
	for name, other := range map[string]string{
		"server":   place("redis://u:old@g:6379/0", same),
		"port":     place("redis://u:old@h:6380/0", same),
		"database": place("redis://u:old@h:6379/1", same),
		"system":   place("redis://u:old@h:6379/0", func(s *Spec) { s.System = Celery }),
		"prefix":   place("redis://u:old@h:6379/0", func(s *Spec) { s.KeyPrefix = "shop:" }),
	} {
		if at == other {
			t.Errorf("another %s is the same place", name)
		}
	}
	if len(at) != 16 || fmt.Sprintf("%x", at) == at {
		t.Errorf("%q", at)
	}
}

// TestKnownRestartsTheIdleClock: what was before a queue was known is not known.
func TestKnownRestartsTheIdleClock(t *testing.T) {
	tr := tracker{maxGap: time.Hour}
	at := func(seconds int, absent ...string) Snapshot {
		moment := time.Unix(int64(seconds), 0)
		tr.saw(Observation{Start: moment, End: moment, Heartbeats: true, Processed: -1, Absent: absent})
		return tr.snapshot
	}
	at(0, "a", "b")
	if s := at(100, "a", "b"); s.IdleSince.Unix() != 0 {
		t.Errorf("absent: idle since %v", s.IdleSince)
	}
	if s := at(200, "a"); s.IdleSince.Unix() != 200 || s.SettledAt.Sub(s.End) != settleTime {
		t.Errorf("known: idle since %v, settled at %v", s.IdleSince, s.SettledAt)
	}
	if s := at(300, "a"); s.IdleSince.Unix() != 200 {
		t.Errorf("later: idle since %v", s.IdleSince)
	}
}

// TestAbsenceMatters: who waits for a queue hears that it is there.
func TestAbsenceMatters(t *testing.T) {
	absent := Snapshot{Observation: Observation{End: time.Unix(1, 0), Absent: []string{"a"}}}
	known, named := absent, absent
	known.Absent, named.Existing = nil, []string{"b"}
	for _, next := range []Snapshot{known, named} {
		if changed, wake := matters(absent, next); !changed || wake {
			t.Errorf("changed %v, wake %v: %+v", changed, wake, next)
		}
	}
}

// TestSeenBefore: an owner that is new to its Hub is told what was seen, and an owner that is there keeps what it
// has seen.
func TestSeenBefore(t *testing.T) {
	client := sharedRedis(t)
	hub := NewHub(endpointOf(t, sharedServer.URL()))
	t.Cleanup(func() { _ = hub.Close() })
	spec := Spec{System: List, Names: []string{"a"}, Period: time.Hour}
	absent := func(id string, seen ...string) []string {
		spec.Seen = seen
		if err := hub.Watch(id, spec, func(bool) {}); err != nil {
			t.Fatal(err)
		}
		s, err := hub.Observe(t.Context(), id)
		if err != nil || s.Err != nil {
			t.Fatal(err, s.Err)
		}
		return s.Absent
	}
	if got := absent("new"); len(got) != 1 {
		t.Errorf("new: absent %q", got)
	}
	if got := absent("told", "a"); len(got) != 0 {
		t.Errorf("told: absent %q", got)
	}
	do(t, client, cmd("lpush", "a", "x"))
	absent("new")
	do(t, client, cmd("flushall"))
	if got := absent("new"); len(got) != 0 {
		t.Errorf("it forgot: absent %q", got)
	}
}
