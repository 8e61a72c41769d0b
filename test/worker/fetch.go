package main

import (
	"context"
	"encoding/json"
	"errors"
	"log"
	"os"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// job is what matters of a payload.
type job struct {
	ID    string     `json:"jid"`
	Class string     `json:"class"`
	Args  [1]float64 `json:"args"` // seconds
}

// takeJobs is a processor: it takes jobs and runs them, until the process is quiet.
func (p *process) takeJobs(ctx context.Context, tid string) {
	for !p.quiet.Load() {
		taken, err := p.take(ctx)
		switch {
		case errors.Is(err, redis.Nil): // no job came
		case err != nil:
			log.Printf("fetching: %v", err)
			time.Sleep(time.Second)
		case p.begin(tid, taken):
			p.perform(ctx, taken)
			p.finish(tid)
		default: // quiet since BRPOP began
			p.pushBack(ctx, map[string]work{tid: taken})
		}
	}
}

// take waits for a job of the first queue that has one.
func (p *process) take(ctx context.Context) (work, error) {
	command := []any{"BRPOP"}
	for _, queue := range p.queues {
		command = append(command, queueKey(queue))
	}
	// Not BRPop, which knows no fractions of a second.
	popped, err := p.client.Do(ctx, append(command, p.fetch.Seconds())...).StringSlice()
	if err != nil {
		return work{}, err
	}
	return work{Queue: strings.TrimPrefix(popped[0], queueKey("")), Payload: popped[1], RunAt: time.Now().Unix()}, nil
}

func queueKey(queue string) string { return "queue:" + queue }

// perform runs a job to its end, or until it is interrupted.
func (p *process) perform(ctx context.Context, taken work) {
	var j job
	if err := json.Unmarshal([]byte(taken.Payload), &j); err != nil {
		log.Printf("not a job: %v", err)
		p.client.ZAdd(ctx, "dead", redis.Z{Score: seconds(time.Now()), Member: taken.Payload})
		return
	}
	p.note("start", j, taken.Queue)
	if within(time.Duration(j.Args[0]*float64(time.Second)), p.interrupt) {
		p.note("interrupted", j, taken.Queue)
	} else {
		p.note("end", j, taken.Queue)
	}
}

// event is a line of the job log, as test/stack reads it.
type event struct {
	At      float64 `json:"at"`
	Event   string  `json:"event"`
	Job     string  `json:"job"`
	Class   string  `json:"class"`
	Queue   string  `json:"queue"`
	Attempt int     `json:"attempt"`
	Dyno    string  `json:"dyno"`
	PID     int     `json:"pid"`
}

// note writes to the job log, in one write because other processes write to it too.
func (p *process) note(what string, j job, queue string) {
	line := marshal(event{seconds(time.Now()), what, j.ID, j.Class, queue, 1, dyno(), os.Getpid()})
	if _, err := p.jobs.WriteString(line + "\n"); err != nil {
		log.Fatalf("the job log: %v", err) // a missing line would look like a lost job
	}
}
