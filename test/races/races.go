// Package races measures how many running jobs the operator interrupts when jobs arrive around the
// moment at which it stops idle workers: over many random runs, side by side in lanes.
//
// A lane is an app with one process type, a Redis database and a QueueScaler of its own. A run in it
// makes sure that a worker is up, pushes a probe job at a moment that a strategy chooses, and waits
// until the probe has ended. The next run of the lane begins at once: a worker that serves the probe
// is up for it, and one that was left quiet or a job that was lost would show there.
package races

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/queuescaler/queuescaler/api/v1"
	"github.com/queuescaler/queuescaler/internal/heroku/simulator"
)

// Options say what is measured, and where. The operator must be running, and look after the namespace.
type Options struct {
	Client    client.Client
	Namespace string
	// Heroku needs a rate capacity of some 10 requests a run, and Token access to all apps.
	Heroku *simulator.Server
	Token  string
	// RedisURL has no database number: lanes use one each, from FirstDatabase on. The server is made
	// to tell of what is written to it (notify-keyspace-events).
	RedisURL      string
	FirstDatabase int
	// Dir is for the lanes' files.
	Dir string

	// Runs is the number of runs, Lanes how many of them there are side by side.
	Runs, Lanes int
	Drain       v1.DrainMode
	Worker      Worker

	// Patience is for a stop to come and for a job to end; 3 min where 0.
	Patience time.Duration
	// Unserved is how long a job may wait for its start; 1 min where 0.
	Unserved time.Duration
}

func (o Options) withDefaults() Options {
	if o.Patience == 0 {
		o.Patience = 3 * time.Minute
	}
	if o.Unserved == 0 {
		o.Unserved = time.Minute
	}
	return o
}

// experiment is a measurement in progress.
type experiment struct {
	Options
	start time.Time
	lanes map[string]*lane
	begun atomic.Int64 // runs
	ended atomic.Int64
}

// Run makes the runs and judges them. An error says that the measurement failed, not what it found.
func Run(ctx context.Context, o Options) (result Result, err error) {
	e := &experiment{Options: o.withDefaults(), start: time.Now(), lanes: map[string]*lane{}}
	defer func() { err = errors.Join(err, e.close(context.WithoutCancel(ctx))) }()
	if err := e.open(ctx); err != nil {
		return Result{}, err
	}
	if err := e.watch(ctx); err != nil {
		return Result{}, err
	}
	defer e.Heroku.BeforeRequest(e.beforeRequest)()
	defer e.Heroku.AfterRequest(e.afterRequest)()
	if err := e.each(func(l *lane) error { return l.work(ctx) }); err != nil {
		return Result{}, err
	}
	if err := e.awaitGone(ctx); err != nil {
		return Result{}, err
	}
	return e.judge(), nil
}

// open makes the lanes.
func (e *experiment) open(ctx context.Context) error {
	for i := range e.Lanes {
		name := fmt.Sprintf("%s%d", laneNames[e.Drain], i+1)
		at, err := redis.ParseURL(fmt.Sprintf("%s/%d", e.RedisURL, e.FirstDatabase+i))
		if err != nil {
			return err
		}
		e.lanes[name] = &lane{
			experiment: e, name: name, dir: filepath.Join(e.Dir, name), redisURL: fmt.Sprintf("%s/%d", e.RedisURL, at.DB),
			redis: redis.NewClient(at), idleTimeout: time.Duration(1+i%2) * time.Second,
		}
	}
	return e.each(func(l *lane) error { return l.open(ctx) })
}

// laneNames are what names begin with; they are those of process types, and so of dynos.
var laneNames = map[v1.DrainMode]string{v1.DrainNone: "lane", v1.DrainQuiet: "drain"}

func (e *experiment) close(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, e.Patience)
	defer cancel()
	return e.each(func(l *lane) error { return l.close(ctx) })
}

// each does something in all lanes side by side.
func (e *experiment) each(do func(*lane) error) error {
	var (
		group sync.WaitGroup
		mu    sync.Mutex
		all   error
	)
	for _, l := range e.lanes {
		group.Go(func() {
			if err := do(l); err != nil {
				mu.Lock()
				defer mu.Unlock()
				all = errors.Join(all, fmt.Errorf("%s: %w", l.name, err))
			}
		})
	}
	group.Wait()
	return all
}

// awaitGone waits until the last process has written the last line of its job log.
func (e *experiment) awaitGone(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, e.Patience)
	defer cancel()
	return e.Heroku.Wait(ctx, func() bool {
		running := 0
		for _, event := range e.events() {
			switch event.Kind {
			case simulator.Started:
				running++
			case simulator.Exited:
				running--
			}
		}
		return running == 0
	})
}

// events are the simulator's, of this experiment.
func (e *experiment) events() []simulator.Event {
	var own []simulator.Event
	for _, event := range e.Heroku.Events() {
		if e.lanes[event.App] != nil && event.Time.After(e.start) {
			own = append(own, event)
		}
	}
	return own
}
