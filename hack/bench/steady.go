package main

import (
	"context"
	"fmt"
	"time"

	v1 "github.com/queuescaler/queuescaler/api/v1"
)

// steady is what is measured of an operator with nothing to do.
type steady struct {
	cpu                    float64 // share of a core
	scrapeCPU              time.Duration
	unscraped, now, most   float64 // memory
	heap                   float64
	reads, commands, calls float64 // a second
	heroku, api            float64 // requests a second
	connections            int
}

// measureSteady measures an operator all of whose QueueScalers sleep, for both job systems.
func measureSteady(ctx context.Context, w *world, out *report) error {
	window := w.settings.span(time.Minute, 20*time.Second)
	var measured []*steady
	for _, system := range []struct {
		kind      v1.QueueType
		scheduled v1.ScheduledJobsPolicy
	}{{v1.QueueList, v1.ScheduledJobsIgnore}, {v1.QueueSidekiq, v1.ScheduledJobsWake}} {
		say("type %s", system.kind)
		if err := w.stopOperator(); err != nil {
			return err
		}
		if err := w.become(ctx, system.kind, system.scheduled); err != nil {
			return err
		}
		s, err := w.restOperator(ctx, window)
		if err != nil {
			return err
		}
		measured = append(measured, s)
	}
	reportSteady(out, w.plan, window, measured)
	return nil
}

// restOperator starts the operator afresh, lets it settle, and measures. What is scraped costs more
// than all else, so that it is done before and after, and memory is also taken before.
func (w *world) restOperator(ctx context.Context, window time.Duration) (*steady, error) {
	if _, err := w.startReady(ctx, len(w.plan.scalers)); err != nil {
		return nil, err
	}
	s := &steady{}
	if err := pause(ctx, w.settings.span(time.Minute, 20*time.Second)); err != nil {
		return nil, err
	}
	s.unscraped, _ = memoryOf(w.operator.pid)
	before, err := s.scrape(ctx, w)
	if err != nil {
		return nil, err
	}
	if err := pause(ctx, 5*time.Second); err != nil {
		return nil, err
	}
	if err := s.rest(ctx, w, window); err != nil {
		return nil, err
	}
	after, err := s.scrape(ctx, w)
	if err != nil {
		return nil, err
	}
	s.heap = after.totals["go_memstats_heap_inuse_bytes"]
	s.reads = after.rate(before, "queuescaler_redis_reads_total")
	s.commands = after.rate(before, "queuescaler_redis_commands_total")
	s.api = after.rate(before, "rest_client_requests_total")
	return s, nil
}

// scrape reads the metrics, and what that costs.
func (s *steady) scrape(ctx context.Context, w *world) (*metrics, error) {
	meter, err := newMeter(map[string]int{"operator": w.operator.pid})
	if err != nil {
		return nil, err
	}
	scraped, err := w.scrape(ctx)
	if err != nil {
		return nil, err
	}
	used, err := meter.used()
	s.scrapeCPU = used["operator"]
	return scraped, err
}

// rest measures while nothing happens.
func (s *steady) rest(ctx context.Context, w *world, window time.Duration) error {
	calls, err := w.callsOfAll(ctx)
	if err != nil {
		return err
	}
	w.recorder.reset()
	meter, err := newMeter(map[string]int{"operator": w.operator.pid})
	if err != nil {
		return err
	}
	if err := pause(ctx, window); err != nil {
		return err
	}
	shares, err := meter.shares()
	if err != nil {
		return err
	}
	took := time.Since(meter.began)
	s.cpu = shares["operator"]
	s.now, s.most = memoryOf(w.operator.pid)
	s.heroku = perSecond(w.recorder.total(), took)
	later, err := w.callsOfAll(ctx)
	if err != nil {
		return err
	}
	s.calls = perSecond(later-calls, took)
	s.connections, err = w.mostConnections(ctx)
	return err
}

func reportSteady(out *report, world plan, window time.Duration, measured []*steady) {
	row := func(name string, cell func(*steady) string) []string {
		row := []string{name}
		for _, s := range measured {
			row = append(row, cell(s))
		}
		return row
	}
	const mostMemory, mostConnections = 250e6, 2
	all := func(met func(*steady) bool) bool {
		for _, s := range measured {
			if !met(s) {
				return false
			}
		}
		return true
	}
	cpu := row("CPU of the operator, of one core", func(s *steady) string { return percent(s.cpu) })
	cpu = append(cpu, aim("at most 1 %", all(func(s *steady) bool { return s.cpu <= 0.01 })))
	memory := row("Memory (RSS)", func(s *steady) string { return megabytes(s.now) })
	memory = append(memory, aim("at most 250 MB", all(func(s *steady) bool { return s.now <= mostMemory })))
	connections := row("Connections to a Redis, at most", func(s *steady) string { return fmt.Sprint(s.connections) })
	connections = append(connections, aim("at most 2", all(func(s *steady) bool { return s.connections <= mostConnections })))
	out.table("Steady", fmt.Sprintf(
		"%d sleeping QueueScalers on %d Redis servers, polled every 15 s, over %s; the operator was started a minute before. "+
			"List without scheduled jobs, Sidekiq with an empty schedule and without processes.",
		len(world.scalers), world.servers, window),
		[][]string{
			{"", "List", "Sidekiq", "Aim"},
			cpu,
			memory,
			row("Memory before the first scrape of /metrics", func(s *steady) string { return megabytes(s.unscraped) }),
			row("Memory at most, the start included", func(s *steady) string { return megabytes(s.most) }),
			row("Heap in use", func(s *steady) string { return megabytes(s.heap) }),
			row("Reads of a Redis a second", func(s *steady) string { return figure(s.reads) }),
			row("Redis commands a second, by the operator's count", func(s *steady) string { return figure(s.commands) }),
			row("Redis commands a second, by Redis's count", func(s *steady) string { return figure(s.calls) }),
			row("Heroku requests a second", func(s *steady) string { return figure(s.heroku) }),
			row("API server requests a second", func(s *steady) string { return figure(s.api) }),
			connections,
			row("CPU time of one scrape of /metrics", func(s *steady) string { return milliseconds(s.scrapeCPU) }),
		})
}
