package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/queuescaler/queuescaler/internal/queue"
)

// observation is a job system whose observation is measured.
type observation struct {
	spec queue.Spec
	// fill gives a queue a job that waits, one that runs and one that is scheduled, as far as the system has such.
	fill func(ctx context.Context, p pipeline, queue string)
}

// observed has a row for each job system.
var observed = []observation{
	{queue.Spec{System: queue.Sidekiq}, func(ctx context.Context, p pipeline, queue string) {
		p.LPush(ctx, "queue:"+queue, `{"queue":"`+queue+`","enqueued_at":1.7e9}`)
		p.ZAdd(ctx, "schedule", inAnHour(`{"queue":"`+queue+`"}`))
	}},
	{queue.Spec{System: queue.List, ProcessingKeys: []string{"running"}}, func(ctx context.Context, p pipeline, queue string) {
		p.LPush(ctx, queue, "1")
	}},
	{queue.Spec{System: queue.SortedSet}, func(ctx context.Context, p pipeline, queue string) {
		p.ZAdd(ctx, queue, redis.Z{Score: 1.7e9, Member: "1"}, inAnHour("2"))
	}},
	{queue.Spec{System: queue.Stream, Group: "g", ClaimIdle: time.Minute}, func(ctx context.Context, p pipeline, queue string) {
		p.XGroupCreateMkStream(ctx, queue, "g", "0")
		for range 2 {
			p.XAdd(ctx, &redis.XAddArgs{Stream: queue, Values: []string{"job", "1"}})
		}
		p.XReadGroup(ctx, &redis.XReadGroupArgs{Streams: []string{queue, ">"}, Group: "g", Consumer: "c", Count: 1, Block: -1})
	}},
	{queue.Spec{System: queue.BullMQ}, fillBull},
	{queue.Spec{System: queue.Bull}, fillBull},
	{queue.Spec{System: queue.Asynq}, func(ctx context.Context, p pipeline, queue string) {
		key := "asynq:{" + queue + "}:"
		p.LPush(ctx, key+"pending", "1")
		p.HSet(ctx, key+"t:1", "pending_since", time.Now().UnixNano())
		p.LPush(ctx, key+"active", "2")
		p.ZAdd(ctx, key+"lease", inAnHour("2"))
		p.ZAdd(ctx, key+"scheduled", inAnHour("3"))
	}},
	{queue.Spec{System: queue.RQ}, func(ctx context.Context, p pipeline, queue string) {
		p.RPush(ctx, "rq:queue:"+queue, "1")
		p.HSet(ctx, "rq:job:1", "enqueued_at", "2026-01-01T00:00:00.000000Z")
		p.ZAdd(ctx, "rq:wip:"+queue, inAnHour("2"))
		p.ZAdd(ctx, "rq:scheduled:"+queue, inAnHour("3"))
	}},
	{queue.Spec{System: queue.Celery}, func(ctx context.Context, p pipeline, queue string) {
		later := `{"headers":{"eta":"` + time.Now().Add(time.Hour).Format(time.RFC3339) + `"}}`
		p.LPush(ctx, queue, later, `{"headers":{}}`)
		p.HSet(ctx, "unacked", queue, `[{"headers":{}},"","`+queue+`"]`)
		p.ZAdd(ctx, "unacked_index", inAnHour(queue))
	}},
	{queue.Spec{System: queue.Resque}, func(ctx context.Context, p pipeline, queue string) {
		worker, due := "dyno:4:"+queue, inAnHour("")
		at := strconv.FormatFloat(due.Score, 'f', 0, 64)
		p.RPush(ctx, "resque:queue:"+queue, `{"class":"Job","args":[]}`)
		p.SAdd(ctx, "resque:workers", worker)
		p.Set(ctx, "resque:worker:"+worker, "{}", 0)
		p.ZAdd(ctx, "resque:delayed_queue_schedule", redis.Z{Score: due.Score, Member: at})
		p.RPush(ctx, "resque:delayed:"+at, `{"queue":"`+queue+`"}`)
	}},
}

func fillBull(ctx context.Context, p pipeline, queue string) {
	key := "bull:" + queue + ":"
	p.LPush(ctx, key+"wait", "1")
	p.HSet(ctx, key+"1", "timestamp", time.Now().UnixMilli())
	p.LPush(ctx, key+"active", "2")
	p.Set(ctx, key+"2:lock", "token", 0)
	p.ZAdd(ctx, key+"delayed", redis.Z{Score: float64(time.Now().Add(time.Hour).UnixMilli()) * 4096, Member: "3"})
}

func inAnHour(member string) redis.Z {
	return redis.Z{Score: float64(time.Now().Add(time.Hour).Unix()), Member: member}
}

// observedQueues are the numbers of queues that are observed at once.
var observedQueues = []int{1, 100, 1000}

func planObserve(settings) plan { return plan{servers: 1, bare: true} }

// measureObserve has a Hub read queues of each job system, many times.
func measureObserve(ctx context.Context, w *world, out *report) error {
	rows := [][]string{{"job system", "queues", "commands", "bytes", "read p50", "read p99", "Redis"}}
	for _, system := range observed {
		for _, queues := range observedQueues {
			row, err := system.measure(ctx, w.servers[0], w.settings.count(queues), w.settings.count(200))
			if err != nil {
				return fmt.Errorf("%s: %w", system.spec.System, err)
			}
			rows = append(rows, row)
		}
	}
	out.table("Observing a queue", "One read of all queues, in one pipeline for each round trip. Each queue has a job that waits, "+
		"one that runs and one that is scheduled. Bytes are those that Redis sends; the last column is the time that its commands take.", rows)
	return out.err
}

// measure reads so many queues so many times, and makes a row of what it takes.
func (o observation) measure(ctx context.Context, on *server, queues, reads int) (row []string, err error) {
	spec, err := o.prepare(ctx, on, queues)
	if err != nil {
		return nil, err
	}
	endpoint, err := queue.ParseEndpoint(on.URL(), queue.Settings{})
	if err != nil {
		return nil, err
	}
	hub := queue.NewHub(endpoint)
	defer func() { err = errors.Join(err, hub.Close()) }()
	if err := hub.Watch("bench", spec, func(bool) {}); err != nil {
		return nil, err
	}
	if _, err := hub.Observe(ctx, "bench"); err != nil { // the first connects
		return nil, err
	}
	before, counted := usageOf(ctx, on), queue.Count()
	var took distribution
	for range reads {
		began := time.Now()
		snapshot, err := hub.Observe(ctx, "bench")
		if err != nil || !snapshot.Known() {
			return nil, errors.Join(err, snapshot.Err)
		}
		took = append(took, time.Since(began))
	}
	after, now := usageOf(ctx, on), queue.Count()
	each := func(total int64) string { return fmt.Sprint(total / (now.Reads - counted.Reads)) }
	return []string{
		string(spec.System), fmt.Sprint(queues), each(now.Commands - counted.Commands), each(after.bytes - before.bytes),
		milliseconds(took.percentile(50)), milliseconds(took.percentile(99)), each(after.micros-before.micros) + " µs",
	}, nil
}

// prepare fills the queues.
func (o observation) prepare(ctx context.Context, on *server, queues int) (queue.Spec, error) {
	spec := o.spec
	spec.Period, spec.DueHorizon = time.Hour, 2*time.Hour
	p := on.client.Pipeline()
	p.FlushAll(ctx)
	for i := range queues {
		name := fmt.Sprintf("queue-%d", i)
		spec.Names = append(spec.Names, name)
		o.fill(ctx, p, name)
	}
	_, err := p.Exec(ctx)
	return spec, err
}

// usage is what a server has done.
type usage struct{ bytes, micros int64 }

// usageOf asks a server what it has done, but for answering this.
func usageOf(ctx context.Context, on *server) (u usage) {
	for line := range strings.Lines(on.client.Info(ctx, "stats", "commandstats").Val()) {
		var calls, micros int64
		_, _ = fmt.Sscanf(line, "total_net_output_bytes:%d", &u.bytes)
		name, numbers, _ := strings.Cut(line, ":")
		if strings.HasPrefix(name, "cmdstat_") && name != "cmdstat_info" {
			_, _ = fmt.Sscanf(numbers, "calls=%d,usec=%d", &calls, &micros)
			u.micros += micros
		}
	}
	return u
}
