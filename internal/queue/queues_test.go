package queue

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// filled is a job system with work of every kind in it.
type filled struct {
	spec Spec
	// fill is a Lua script that fills the queue called q. Its arguments are the number of jobs of each
	// kind, a payload and the time in seconds.
	fill string
}

const fillBull = `
for i = 1, ARGV[1] do
	redis.call('LPUSH', 'bull:q:wait', i)
	redis.call('ZADD', 'bull:q:delayed', (ARGV[3] + i) * 4096000, 'd' .. i)
	redis.call('ZADD', 'bull:q:prioritized', i, 'p' .. i)
	redis.call('LPUSH', 'bull:q:active', 'a' .. i)
	redis.call('ZADD', 'bull:q:completed', i, 'c' .. i)
end
redis.call('HSET', 'bull:q:1', 'timestamp', ARGV[3] * 1000, 'data', ARGV[2])
redis.call('HSET', 'bull:q:meta', 'version', 'bullmq:5.0.0')`

// systems are all job systems, filled.
var systems = map[string]filled{
	"bullmq": {Spec{System: BullMQ}, fillBull},
	"bull":   {Spec{System: Bull}, fillBull},
	"asynq": {Spec{System: Asynq}, `
for i = 1, ARGV[1] do
	redis.call('LPUSH', 'asynq:{q}:pending', i)
	redis.call('ZADD', 'asynq:{q}:scheduled', ARGV[3] + i, 's' .. i)
	redis.call('ZADD', 'asynq:{q}:retry', ARGV[3] + i, 'r' .. i)
	redis.call('LPUSH', 'asynq:{q}:active', 'a' .. i)
	redis.call('ZADD', 'asynq:{q}:lease', i, 'a' .. i)
end
redis.call('SADD', 'asynq:{q}:groups', 'g')
redis.call('HSET', 'asynq:{q}:t:1', 'pending_since', 1, 'msg', ARGV[2])`},
	"stream": {Spec{System: Stream, Group: "g", ClaimIdle: time.Second}, `
redis.call('XGROUP', 'CREATE', 'q', 'g', '0', 'MKSTREAM')
local read = math.floor(ARGV[1] / 2)
for i = 1, ARGV[1] do
	redis.call('XADD', 'q', i, 'data', i == read + 1 and ARGV[2] or 'x')
end
redis.call('XREADGROUP', 'GROUP', 'g', 'c', 'COUNT', read, 'STREAMS', 'q', '>')`},
	"rq": {Spec{System: RQ}, `
for i = 1, ARGV[1] do
	redis.call('RPUSH', 'rq:queue:q', i)
	redis.call('RPUSH', 'rq:queue:q:intermediate', 'i' .. i)
	redis.call('ZADD', 'rq:wip:q', i, 'w' .. i)
	redis.call('ZADD', 'rq:scheduled:q', ARGV[3] + i, 's' .. i)
end
redis.call('HSET', 'rq:job:1', 'enqueued_at', '2026-01-01T00:00:00.000000Z', 'data', ARGV[2])`},
	"celery": {Spec{System: Celery}, `
local later = '{"headers":{"eta":"3026-01-01T00:00:00+00:00"}}'
for i = 1, ARGV[1] do
	redis.call('LPUSH', 'q\6\0226', i == 2 and ARGV[2] or '{"headers":{}}')
	if i < 10 then
		redis.call('LPUSH', 'q', later)
		redis.call('HSET', 'unacked', i, '[' .. later .. ',"","q"]')
		redis.call('ZADD', 'unacked_index', i, i)
	end
end`},
	"resque": {Spec{System: Resque}, `
for i = 1, ARGV[1] do
	redis.call('RPUSH', 'resque:queue:q', i == 1 and ARGV[2] or 'x')
	redis.call('ZADD', 'resque:delayed_queue_schedule', ARGV[3] + 3000 + i, ARGV[3] + 3000 + i)
	redis.call('RPUSH', 'resque:delayed:' .. ARGV[3] + 3000 + i, '{"queue":"q"}')
	if i < 3 then
		redis.call('SADD', 'resque:workers', 'd1e5:' .. i .. ':q')
		redis.call('SET', 'resque:worker:d1e5:' .. i .. ':q', '{}')
	end
end`},
	"sorted-set": {Spec{System: SortedSet}, `
for i = 1, ARGV[1] do
	redis.call('ZADD', 'q', ARGV[3] - i, i)
	redis.call('ZADD', 'q', ARGV[3] + 1000 + i, 'later ' .. i)
end`},
}

func (f filled) complete() Spec {
	spec := f.spec
	spec.Names, spec.DueHorizon, spec.Period = []string{"q"}, time.Hour, time.Minute
	return spec
}

func (f filled) run(t *testing.T, client *redis.Client, jobs, payload int) {
	t.Helper()
	do(t, client, cmd("eval", f.fill+"\nreturn 1", 0, jobs, strings.Repeat("x", payload), now(t, client).Unix()))
}

// TestCostDoesNotGrow observes a few jobs, then very many with a large payload. Only the first member of a
// sorted set is read whatever its size, and so is left out of that.
func TestCostDoesNotGrow(t *testing.T) {
	for name, system := range systems {
		t.Run(name, func(t *testing.T) {
			client := sharedRedis(t)
			cost := func(jobs, payload int) (commands, bytes int64) {
				do(t, client, cmd("flushall"))
				system.run(t, client, jobs, payload)
				observer := newObserver(t, client, system.complete())
				if _, err := observer.look(); err != nil { // at which it may learn what costs much
					t.Fatal(err)
				}
				before := netOutput(t, client)
				overhead := netOutput(t, client) - before
				counted := Count().Commands
				o, err := observer.look()
				if err != nil || o.Wanted() == 0 {
					t.Fatalf("%+v, %v", o, err)
				}
				return Count().Commands - counted, netOutput(t, client) - before - 2*overhead
			}
			fewCommands, fewBytes := cost(100, 10)
			manyCommands, manyBytes := cost(50_000, 10_000_000)
			t.Logf("%d commands; %d bytes for few jobs, %d for many", fewCommands, fewBytes, manyBytes)
			if manyCommands > fewCommands || fewCommands > 50 {
				t.Errorf("%d commands for few jobs, %d for many", fewCommands, manyCommands)
			}
			if limit := fewBytes + 2000; manyBytes > limit {
				t.Errorf("%d bytes for few jobs, %d for many", fewBytes, manyBytes)
			}
		})
	}
}

// netOutput is the number of bytes that the server has sent.
func netOutput(t *testing.T, client *redis.Client) (bytes int64) {
	t.Helper()
	for line := range strings.Lines(client.Info(context.Background(), "stats").Val()) {
		if _, err := fmt.Sscanf(line, "total_net_output_bytes:%d", &bytes); err == nil {
			return bytes
		}
	}
	t.Fatal("the server does not count")
	return 0
}

// TestQueuesShareRoundTrips has ten queues take as many round trips as one.
func TestQueuesShareRoundTrips(t *testing.T) {
	for name, system := range systems {
		t.Run(name, func(t *testing.T) {
			client := sharedRedis(t)
			system.run(t, client, 10, 10)
			spec := system.complete()
			trips := func() (count int) {
				var result Observation
				step := readers[spec.System](spec).look(&result)
				for step != nil {
					roundTrip(t, client, &step)
					count++
				}
				return count
			}
			one := trips()
			for i := range 9 {
				spec.Names = append(spec.Names, fmt.Sprintf("other%d", i))
			}
			if ten := trips(); ten != one || one > 4 {
				t.Errorf("%d steps for one queue, %d for ten", one, ten)
			}
		})
	}
}

// TestSumsOfQueues has the signals of several queues be added up.
func TestSumsOfQueues(t *testing.T) {
	client := sharedRedis(t)
	at := now(t, client)
	do(t, client,
		cmd("lpush", "bull:a:wait", 1), cmd("hset", "bull:a:1", "timestamp", at.Add(-time.Minute).UnixMilli()),
		cmd("lpush", "bull:b:wait", 1, 2), cmd("hset", "bull:b:1", "timestamp", at.Add(-time.Hour).UnixMilli()),
		cmd("zadd", "bull:a:delayed", bullDue(at.Add(time.Hour), 0), "x"), cmd("zadd", "bull:b:delayed", bullDue(at.Add(time.Minute), 0), "y"),
		cmd("lpush", "bull:a:active", 7), cmd("lpush", "bull:b:active", 7, 8), cmd("set", "bull:b:8:lock", 1),
		cmd("lpush", "bull:c:wait", 1, 2, 3), cmd("hset", "bull:c:meta", "paused", 1))
	o := observe(t, client, Spec{System: BullMQ, Names: []string{"a", "b", "c"}, DueHorizon: time.Hour})
	if o.Depth != 3 || o.InFlight != 1 || o.Orphans != 2 || o.OrphanMark == 0 || !slices.Equal(o.Paused, []string{"c"}) {
		t.Errorf("%+v", o)
	}
	between(t, "the age", o.Latency, time.Hour-time.Second, time.Hour+5*time.Second)
	between(t, "the time until the next job", o.NextDue.Sub(o.Start), time.Minute-5*time.Second, time.Minute)
}

// TestPrefixesOfManyQueues has all keys of the most queues be covered by few prefixes.
func TestPrefixesOfManyQueues(t *testing.T) {
	var names []string
	for i := range 64 {
		names = append(names, fmt.Sprintf("queue-%d", i))
	}
	for name, system := range systems {
		spec := system.complete()
		spec.Names = names
		keys := readers[spec.System](spec).watched().prefixes()
		merged := mergePrefixes(keys)
		if len(merged) > maxPrefixes || slices.Contains(merged, "") || !covers(merged, keys) {
			t.Errorf("%s: %d keys became %q", name, len(keys), merged)
		}
	}
}

// TestOrphanMark has a set of orphans be known again in any order, and no other be taken for it.
func TestOrphanMark(t *testing.T) {
	mark := func(add ...[2]string) uint64 {
		var o Observation
		for _, orphan := range add {
			o.addOrphans(1, orphan[0], orphan[1])
		}
		return o.OrphanMark
	}
	a, b, other := [2]string{"q", "a"}, [2]string{"q", "b"}, [2]string{"qa", ""}
	if mark(a, b) != mark(b, a) {
		t.Error("the order matters")
	}
	marks := []uint64{0, mark(a), mark(b), mark(a, b), mark(other)}
	slices.Sort(marks)
	if len(slices.Compact(marks)) != 5 {
		t.Errorf("%x", marks)
	}
}
