package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	v1 "github.com/queuescaler/queuescaler/api/v1"
)

const (
	// idleOwners are woken in turn, so that each is asleep again when its turn comes.
	idleOwners = 5
	idleWakes  = 20
	busyOwner  = "busy"
	// settleTime is longer than the operator, newly started, waits for workers it may not know of.
	settleTime = 35 * time.Second
)

// planNeighbours has idle QueueScalers that are read often, to be asleep again soon, and later one
// that owns the busy queue.
func planNeighbours(settings) plan {
	var p plan
	p.servers = 1
	for i := range idleOwners {
		p.scalers = append(p.scalers, scaler{
			name: fmt.Sprintf("idle-%d", i), app: "idle", queue: fmt.Sprintf("idle-%d", i),
			kind: v1.QueueSidekiq, scheduled: v1.ScheduledJobsIgnore, pollPeriod: 1,
		})
	}
	p.later = []scaler{{name: busyOwner, app: busyOwner, queue: busyQueue, kind: v1.QueueSidekiq, scheduled: v1.ScheduledJobsIgnore}}
	return p
}

// variant is who has to do with the busy queue.
type variant struct {
	name    string
	owned   bool
	consume bool
}

var variants = []variant{
	{"nobody owns it", false, false},
	{"owned, with jobs waiting", true, false},
	{"owned, its jobs taken at once", true, true},
}

// neighbour is what is measured of a variant.
type neighbour struct {
	variant
	jobs, pushes   float64 // a second
	operator       float64 // share of a core
	alone, watched float64 // the same of Redis, without and with the operator
	alonePerJob    time.Duration
	watchedPerJob  time.Duration
	wakes          distribution
}

func measureNeighbour(ctx context.Context, w *world, out *report) error {
	var measured []*neighbour
	for i, v := range variants {
		say("the busy queue: %s", v.name)
		if v.owned && !variants[i-1].owned {
			if err := w.create(ctx, w.plan.later); err != nil {
				return err
			}
		}
		n := &neighbour{variant: v}
		if err := n.measure(ctx, w); err != nil {
			return err
		}
		measured = append(measured, n)
	}
	reportNeighbour(out, w.settings, measured)
	return nil
}

// measure puts the same load on Redis without the operator and with it.
func (n *neighbour) measure(ctx context.Context, w *world) (err error) {
	stop, failed := n.keepBeating(ctx, w)
	defer func() { stop(); err = errors.Join(err, <-failed) }()
	if err := w.stopOperator(); err != nil {
		return err
	}
	if err := n.runAlone(ctx, w); err != nil {
		return err
	}
	count := len(w.plan.scalers)
	if n.owned {
		count += len(w.plan.later)
	}
	if _, err := w.startReady(ctx, count); err != nil {
		return err
	}
	if err := pause(ctx, settleTime); err != nil {
		return err
	}
	return n.runWatched(ctx, w)
}

// keepBeating has the busy queue's workers give signs of life, if it is owned.
func (n *neighbour) keepBeating(ctx context.Context, w *world) (stop func(), failed <-chan error) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan error, 1)
	if !n.owned {
		done <- nil
		return cancel, done
	}
	go func() { done <- beat(ctx, w.servers[0].client) }()
	return cancel, done
}

func (n *neighbour) runAlone(ctx context.Context, w *world) error {
	_, shares, perJob, err := n.underLoad(ctx, w, func(ctx context.Context) error {
		return pause(ctx, w.settings.span(10*time.Second, 3*time.Second))
	})
	n.alone, n.alonePerJob = shares["redis"], perJob
	return err
}

// runWatched lasts as long as the wakes do.
func (n *neighbour) runWatched(ctx context.Context, w *world) error {
	before, err := w.scrape(ctx)
	if err != nil {
		return err
	}
	jobs, shares, perJob, err := n.underLoad(ctx, w, func(ctx context.Context) error { return n.wakeIdle(ctx, w) })
	if err != nil {
		return err
	}
	after, err := w.scrape(ctx)
	if err != nil {
		return err
	}
	n.jobs, n.watched, n.operator, n.watchedPerJob = jobs, shares["redis"], shares["operator"], perJob
	n.pushes = after.rate(before, "queuescaler_redis_pushes_total")
	return nil
}

// underLoad does something while the busy queue is busy. It returns the jobs a second, the shares of
// a core that were used, and Redis's CPU time for a job.
func (n *neighbour) underLoad(ctx context.Context, w *world, do func(context.Context) error) (float64, map[string]float64, time.Duration, error) {
	pid, err := w.servers[0].pid(ctx)
	if err != nil {
		return 0, nil, 0, err
	}
	pids := map[string]int{"redis": pid}
	if w.operator != nil {
		pids["operator"] = w.operator.pid
	}
	l := &load{client: w.servers[0].client, rate: w.settings.count(20_000), consume: n.consume}
	loaded, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	meter, err := newMeter(pids)
	if err != nil {
		stop()
		return 0, nil, 0, err
	}
	go func() { ended <- l.run(loaded) }()
	err = do(ctx)
	shares, failed := meter.shares()
	jobs := l.written.Load()
	took := time.Since(meter.began)
	stop()
	if err = errors.Join(err, failed, <-ended); err != nil {
		return 0, nil, 0, err
	}
	perJob := time.Duration(shares["redis"] * float64(took) / float64(max(jobs, 1)))
	return perSecond(jobs, took), shares, perJob, nil
}

// wakeIdle wakes the idle owners in turn, and evenly over the time.
func (n *neighbour) wakeIdle(ctx context.Context, w *world) error {
	every := w.settings.span(10*time.Second, 3*time.Second) / idleWakes
	due := time.Now()
	for i := range idleWakes {
		due = due.Add(every)
		if err := pause(ctx, time.Until(due)); err != nil {
			return err
		}
		took, err := w.wakeSleeping(ctx, w.plan.scalers[i%idleOwners])
		if err != nil {
			return err
		}
		n.wakes = append(n.wakes, took)
	}
	return nil
}

func reportNeighbour(out *report, set settings, measured []*neighbour) {
	rows := [][]string{{"The busy queue", "LPUSHes/s", "Messages/s", "Operator CPU", "Redis CPU alone", "watched", "a job, alone", "watched", "Wake p50", "max"}}
	for _, n := range measured {
		rows = append(rows, []string{
			n.name, figure(n.jobs), figure(n.pushes), percent(n.operator), percent(n.alone), percent(n.watched),
			microseconds(n.alonePerJob), microseconds(n.watchedPerJob),
			milliseconds(n.wakes.percentile(50)), milliseconds(n.wakes.max()),
		})
	}
	out.table("Neighbour", fmt.Sprintf(
		"%d idle QueueScalers (type Sidekiq, polled every second) beside a queue on the same Redis that takes %d LPUSHes a second from %d connections: "+
			"messages that Redis sends the operator, CPU as shares of one core without and with the operator, and %d wakes of the idle ones meanwhile.",
		idleOwners, set.count(20_000), producers, idleWakes), rows)
}
