package main

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
)

// load is a queue that others are busy with: jobs are pushed at a steady pace, one by one, from
// several connections.
type load struct {
	client *redis.Client
	rate   int // jobs a second
	// consume has all jobs taken as soon as they come, by one who waits for them.
	consume bool

	written, taken atomic.Int64
}

const (
	busyQueue = "busy"
	busyKey   = "queue:" + busyQueue
	producers = 4
	// mostWaiting bounds the queue of jobs that nobody takes.
	mostWaiting = 10_000
	trimPeriod  = 500 * time.Millisecond
	// beatPeriod is that of the heartbeats of the process which takes the jobs.
	beatPeriod = 5 * time.Second
)

// run goes on until the context is done. What is left of the queue is taken away.
func (l *load) run(ctx context.Context) error {
	inner, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var all sync.WaitGroup
	start := func(do func(context.Context) error) {
		all.Go(func() {
			if err := do(inner); err != nil && inner.Err() == nil {
				cancel(err)
			}
		})
	}
	for range producers {
		start(l.produce)
	}
	if l.consume {
		start(l.takeAll)
	} else {
		start(l.trim)
	}
	all.Wait()
	err := l.client.Del(context.WithoutCancel(ctx), busyKey).Err()
	if ctx.Err() == nil {
		err = errors.Join(err, context.Cause(inner))
	}
	return err
}

// produce pushes one producer's share. It makes up for a sleep that was too long.
func (l *load) produce(ctx context.Context) error {
	interval := time.Second * producers / time.Duration(l.rate)
	for due := time.Now(); ; due = due.Add(interval) {
		if wait := time.Until(due); wait > 0 {
			if err := pause(ctx, wait); err != nil {
				return err
			}
		}
		if err := l.client.LPush(ctx, busyKey, job).Err(); err != nil {
			return err
		}
		l.written.Add(1)
	}
}

func (l *load) trim(ctx context.Context) error {
	for {
		if err := pause(ctx, trimPeriod); err != nil {
			return err
		}
		if err := l.client.LTrim(ctx, busyKey, 0, mostWaiting-1).Err(); err != nil {
			return err
		}
	}
}

// takeAll takes all jobs as they come.
func (l *load) takeAll(ctx context.Context) error {
	const most = 1000
	for {
		if err := l.client.BRPop(ctx, time.Second, busyKey).Err(); errors.Is(err, redis.Nil) {
			continue
		} else if err != nil {
			return err
		}
		more, err := l.client.RPopCount(ctx, busyKey, most).Result()
		if err != nil && !errors.Is(err, redis.Nil) {
			return err
		}
		l.taken.Add(int64(1 + len(more)))
	}
}

// beat keeps a Sidekiq process alive that takes jobs from the busy queue and is never seen to have
// one, until the context is done.
func beat(ctx context.Context, client *redis.Client) error {
	const identity, info = "worker.1:4:0123456789ab", `{"hostname":"worker.1","pid":4,"concurrency":5,"queues":["` + busyQueue + `"]}`
	for {
		pipe := client.Pipeline()
		pipe.SAdd(ctx, "processes", identity)
		pipe.HSet(ctx, identity, "info", info, "busy", 0, "beat", time.Now().Unix(), "quiet", "false")
		pipe.Expire(ctx, identity, time.Minute)
		if _, err := pipe.Exec(ctx); err != nil {
			return err
		}
		if pause(ctx, beatPeriod) != nil {
			return nil
		}
	}
}
