package main

import (
	"context"
	"fmt"
	"os"
	"time"

	v1 "github.com/queuescaler/queuescaler/api/v1"
)

// planCrowd is what storm and steady share.
func planCrowd(set settings) plan {
	servers := set.count(100)
	return plan{servers: servers, scalers: numbered(set.count(10_000), servers)}
}

// stormPatience is for all that follows when all queues are filled, or emptied, at once.
const stormPatience = 10 * time.Minute

// storm is what is measured of one.
type storm struct {
	scalers, servers int
	ready            time.Duration // from the operator's start
	filled           time.Duration // from the first job, as all that follows
	arrived          distribution
	answered, told   time.Duration
	asleep           time.Duration // from the last job's end
	cpu              map[string]time.Duration
	memory           float64
	requests         float64 // to the API server, until the last status
}

// measureStorm fills all queues at once, and empties them.
func measureStorm(ctx context.Context, w *world, out *report) (err error) {
	s := storm{scalers: len(w.plan.scalers), servers: w.plan.servers}
	if s.ready, err = w.startReady(ctx, s.scalers); err != nil {
		return err
	}
	if err := pause(ctx, w.settings.span(20*time.Second, 5*time.Second)); err != nil {
		return err
	}
	if err := s.wakeAll(ctx, w); err != nil {
		return err
	}
	if err := s.sleepAll(ctx, w); err != nil {
		return err
	}
	s.report(out)
	return nil
}

// wakeAll fills all queues and waits until the last QueueScaler says that it is awake.
func (s *storm) wakeAll(ctx context.Context, w *world) error {
	ctx, cancel := context.WithTimeoutCause(ctx, stormPatience, fmt.Errorf("not all are awake within %s", stormPatience))
	defer cancel()
	before, err := w.scrape(ctx)
	if err != nil {
		return err
	}
	meter, err := newMeter(w.busyProcesses())
	if err != nil {
		return err
	}
	w.recorder.reset()
	eve := time.Now()
	told, err := w.follow(ctx, s.scalers, "awake by their status", func(object *v1.QueueScaler) bool { return isAwake(object, eve) })
	if err != nil {
		return err
	}
	began := time.Now()
	if err := w.fill(ctx); err != nil {
		return err
	}
	s.filled = time.Since(began)
	progress := newProgress("PATCHes", s.scalers)
	err = await(ctx, "all to be started", func() bool {
		progress.at(w.recorder.awake())
		return w.recorder.awake() == s.scalers
	})
	if err != nil {
		return err
	}
	s.arrived, _ = w.recorder.starts(began)
	at, err := told.wait()
	if err != nil {
		return err
	}
	_, s.answered = w.recorder.starts(began)
	s.told = at.Sub(began)
	if s.cpu, err = meter.used(); err != nil {
		return err
	}
	_, s.memory = memoryOf(w.operator.pid)
	after, err := w.scrape(ctx)
	if err != nil {
		return err
	}
	s.requests = after.totals["rest_client_requests_total"] - before.totals["rest_client_requests_total"]
	return nil
}

// isAwake says whether the status tells of the dynos, and of a start since.
func isAwake(object *v1.QueueScaler, since time.Time) bool {
	quantity, at := object.Status.Quantity, object.Status.LastWakeTime
	return quantity != nil && *quantity == 1 && at != nil && !at.Time.Before(since.Truncate(time.Second))
}

// fill puts a job into every queue, a pipeline for each server.
func (w *world) fill(ctx context.Context) error {
	return w.everywhere(ctx, func(pipe pipeline, s scaler) { pipe.RPush(ctx, s.key(), job) })
}

// drain takes all jobs away.
func (w *world) drain(ctx context.Context) error {
	return w.everywhere(ctx, func(pipe pipeline, s scaler) { pipe.Del(ctx, s.key()) })
}

// sleepAll empties all queues and waits until all QueueScalers are asleep.
func (s *storm) sleepAll(ctx context.Context, w *world) error {
	ctx, cancel := context.WithTimeoutCause(ctx, stormPatience, fmt.Errorf("not all are asleep within %s", stormPatience))
	defer cancel()
	if err := w.drain(ctx); err != nil {
		return err
	}
	began := time.Now()
	asleep, err := w.follow(ctx, s.scalers, "asleep", isAsleep)
	if err != nil {
		return err
	}
	at, err := asleep.wait()
	s.asleep = at.Sub(began)
	return err
}

// busyProcesses are those that have to work in a storm, and how they are called in the report.
func (w *world) busyProcesses() map[string]int {
	pids := map[string]int{"operator": w.operator.pid, "simulator and bench": os.Getpid()}
	for _, program := range []string{"kube-apiserver", "etcd"} {
		if pid, err := childNamed(program); err == nil {
			pids[program] = pid
		}
	}
	return pids
}

func (s *storm) report(out *report) {
	rows := [][]string{
		{"", "Measured"},
		{"Jobs in all queues", seconds(s.filled)},
		{"PATCH received, p50", seconds(s.arrived.percentile(50))},
		{"PATCH received, p99", seconds(s.arrived.percentile(99))},
		{"PATCH received, the last", seconds(s.arrived.max())},
		{"PATCH answered, the last", seconds(s.answered)},
		{"PATCHes a second", figure(perSecond(len(s.arrived), s.answered))},
		{"The last status tells of it", seconds(s.told)},
	}
	for _, name := range []string{"operator", "kube-apiserver", "etcd", "simulator and bench"} {
		rows = append(rows, []string{"CPU time until then: " + name, seconds(s.cpu[name])})
	}
	rows = append(rows,
		[]string{"API server requests until then, for each QueueScaler", figure(s.requests / float64(s.scalers))},
		[]string{"Memory of the operator, at most", megabytes(s.memory)},
		[]string{"All asleep again, after the jobs are gone", seconds(s.asleep)},
		[]string{"Start of the operator until all are ready", seconds(s.ready)})
	out.table("Storm", fmt.Sprintf(
		"%d sleeping QueueScalers (type List) on %d Redis servers; a job goes into all their queues at once. Times are from the first job.",
		s.scalers, s.servers), rows)
}
