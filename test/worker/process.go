package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"log"
	"maps"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"
)

// process is a Sidekiq process: a heartbeat, and processors that take jobs and run them.
type process struct {
	options
	client   *redis.Client
	identity string
	info     string // JSON, the same at every heartbeat
	jobs     *os.File

	quiet     atomic.Bool   // no processor takes another job
	interrupt chan struct{} // closed when the jobs that still run are to be given up
	processed atomic.Int64  // since the last heartbeat, interrupted jobs included

	mu   sync.Mutex
	work map[string]work // the running jobs, by processor
}

// work is what the work hash tells of a running job.
type work struct {
	Queue   string `json:"queue"`
	Payload string `json:"payload"`
	RunAt   int64  `json:"run_at"`
}

func newProcess(o options, client *redis.Client, jobs *os.File) *process {
	nonce := make([]byte, 6)
	_, _ = rand.Read(nonce) // never fails
	p := &process{
		options: o, client: client, jobs: jobs,
		identity:  fmt.Sprintf("%s:%d:%x", dyno(), os.Getpid(), nonce),
		interrupt: make(chan struct{}),
		work:      map[string]work{},
	}
	p.info = p.describe(time.Now())
	return p
}

// run works until a signal to stop. The heartbeat is started first, but nothing waits for it: a job
// may be taken before the process has told of itself.
func (p *process) run(ctx context.Context, signals <-chan os.Signal) {
	var heart, processors sync.WaitGroup
	beating, endBeats := context.WithCancel(ctx)
	heart.Go(func() { p.heartbeats(beating) })
	for i := range p.concurrency {
		processors.Go(func() { p.takeJobs(ctx, fmt.Sprintf("p%d", i)) })
	}
	for <-signals == syscall.SIGTSTP { // the others stop
		p.quiet.Store(true)
	}
	p.stop(ctx, &processors)
	endBeats()
	heart.Wait()
	p.leave(ctx)
}

// stop returns when no job runs any more: by itself, or because its time was up.
func (p *process) stop(ctx context.Context, processors *sync.WaitGroup) {
	p.quiet.Store(true)
	ended := make(chan struct{})
	go func() {
		processors.Wait()
		close(ended)
	}()
	if within(p.timeout, ended) {
		return
	}
	// In Sidekiq's order: a job is pushed back while it runs, so that it cannot be lost. It may still
	// end, or begin elsewhere, before it is interrupted.
	p.pushBack(ctx, p.running())
	close(p.interrupt)
	// Processors that wait for a job do so to the end, as one may be on its way to them.
	within(p.fetch+time.Second, ended)
}

// within says whether a channel is closed in time.
func within(patience time.Duration, closed <-chan struct{}) bool {
	select {
	case <-closed:
		return true
	case <-time.After(patience):
		return false
	}
}

// pushBack puts jobs where they are taken next.
func (p *process) pushBack(ctx context.Context, running map[string]work) {
	payloads := map[string][]any{}
	for _, job := range running {
		payloads[job.Queue] = append(payloads[job.Queue], job.Payload)
	}
	_, err := p.client.Pipelined(ctx, func(pipe redis.Pipeliner) error {
		for queue, jobs := range payloads {
			pipe.RPush(ctx, queueKey(queue), jobs...)
		}
		return nil
	})
	if err != nil {
		log.Printf("%d jobs are lost: %v", len(running), err)
	}
}

func (p *process) running() map[string]work {
	p.mu.Lock()
	defer p.mu.Unlock()
	return maps.Clone(p.work)
}

// begin enters a job, unless the process is quiet: what stop finds running is then all there will be,
// however short its time.
func (p *process) begin(tid string, job work) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.quiet.Load() {
		return false
	}
	p.work[tid] = job
	return true
}

func (p *process) finish(tid string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.work, tid)
	p.processed.Add(1)
}
