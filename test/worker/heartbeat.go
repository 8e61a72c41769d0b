package main

import (
	"context"
	"encoding/json"
	"errors"
	"log"
	"os"
	"strconv"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"
)

const version = "7.3.10"

// processTTL is how long a process is believed to live after a heartbeat.
const processTTL = 60 * time.Second

// signalsByName are those that may be asked for through Redis.
var signalsByName = map[string]syscall.Signal{"TSTP": syscall.SIGTSTP, "TERM": syscall.SIGTERM, "INT": syscall.SIGINT}

func (p *process) heartbeats(ctx context.Context) {
	for ctx.Err() == nil {
		if err := p.heartbeat(context.WithoutCancel(ctx)); err != nil {
			log.Printf("heartbeat: %v", err)
		}
		within(p.beat, ctx.Done())
	}
}

// heartbeat tells, in three steps and not at once, of the finished jobs, of the running jobs, and that
// the process lives. busy is as old as the work hash.
func (p *process) heartbeat(ctx context.Context) error {
	p.flushStats(ctx)
	running := p.running()
	if err := p.tellWork(ctx, running); err != nil {
		return err
	}
	start := time.Now()
	if err := p.client.Ping(ctx).Err(); err != nil {
		return err
	}
	name, err := p.tellAlive(ctx, len(running), time.Since(start))
	if err != nil {
		return err
	}
	if number, ok := signalsByName[name]; ok {
		return syscall.Kill(os.Getpid(), number)
	}
	return nil
}

func (p *process) tellWork(ctx context.Context, running map[string]work) error {
	fields := map[string]any{}
	for tid, job := range running {
		fields[tid] = marshal(job)
	}
	_, err := p.client.TxPipelined(ctx, func(tx redis.Pipeliner) error {
		tx.Unlink(ctx, p.workKey())
		if len(fields) > 0 {
			tx.HSet(ctx, p.workKey(), fields)
			tx.Expire(ctx, p.workKey(), processTTL)
		}
		return nil
	})
	return err
}

// tellAlive returns the signal that somebody has for the process, if any.
func (p *process) tellAlive(ctx context.Context, busy int, roundTrip time.Duration) (string, error) {
	var signal *redis.StringCmd
	_, err := p.client.TxPipelined(ctx, func(tx redis.Pipeliner) error {
		tx.SAdd(ctx, "processes", p.identity)
		tx.Exists(ctx, p.identity)
		tx.HSet(ctx, p.identity, "info", p.info, "busy", busy, "beat", seconds(time.Now()),
			"rtt_us", roundTrip.Microseconds(), "quiet", strconv.FormatBool(p.quiet.Load()), "rss", 0)
		tx.Expire(ctx, p.identity, processTTL)
		signal = tx.RPop(ctx, p.identity+"-signals")
		return nil
	})
	if err != nil && !errors.Is(err, redis.Nil) { // Nil is of RPOP
		return "", err
	}
	return signal.Val(), nil
}

// flushStats adds to the counter of finished jobs; what cannot be added is forgotten.
func (p *process) flushStats(ctx context.Context) {
	count := p.processed.Swap(0)
	if count == 0 {
		return
	}
	if err := p.client.IncrBy(ctx, "stat:processed", count).Err(); err != nil {
		log.Printf("%d processed jobs are not counted: %v", count, err)
	}
}

// leave takes the process back from Redis, but for its hash, which expires.
func (p *process) leave(ctx context.Context) {
	p.flushStats(ctx)
	_, err := p.client.Pipelined(ctx, func(pipe redis.Pipeliner) error {
		pipe.SRem(ctx, "processes", p.identity)
		pipe.Unlink(ctx, p.workKey())
		return nil
	})
	if err != nil {
		log.Printf("leaving: %v", err)
	}
}

func (p *process) workKey() string { return p.identity + ":work" }

// describe makes the info of the process hash.
func (p *process) describe(startedAt time.Time) string {
	weights := map[string]int{} // of queues in strict order
	for _, queue := range p.queues {
		weights[queue] = 0
	}
	return marshal(map[string]any{
		"hostname": dyno(), "started_at": seconds(startedAt), "pid": os.Getpid(), "tag": p.tag,
		"concurrency": p.concurrency, "queues": p.queues, "weights": []any{weights}, "labels": []string{},
		"identity": p.identity, "version": version, "embedded": false,
	})
}

// marshal is for what is known to have a JSON form.
func marshal(value any) string {
	text, err := json.Marshal(value)
	if err != nil {
		panic(err)
	}
	return string(text)
}
