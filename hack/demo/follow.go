package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/queuescaler/queuescaler/test/stack"
)

const (
	// period lies between two pictures. Heroku's rate budget gets 75 requests a minute back.
	period = time.Second

	jobCount = 16
	jobTime  = 3 * time.Second
)

// enqueued is what came of enqueuing.
type enqueued struct {
	jobs []string
	err  error
}

// follow shows what happens, enqueues jobs as soon as the operator is ready, and judges the cycle that
// they cause. Then it goes on until it is interrupted, or ends with --once.
func (d *demo) follow(ctx context.Context, once bool) error {
	w := &watcher{
		cluster: d.cluster.Client, key: d.sample.key(), metricsURL: d.operator.MetricsURL,
		dynosURL: d.heroku.URL() + "/apps/" + d.sample.app() + "/dynos", token: personToken,
	}
	if !once {
		d.screen.say(d.hints())
	}
	show := d.shower()
	story := &journal{}
	var jobs []string
	var judged bool
	var results chan enqueued // of the jobs on their way
	tick := time.NewTicker(period)
	defer tick.Stop()
	for {
		p := w.look(ctx)
		if ctx.Err() != nil {
			return d.unfinished(ctx, jobs, once)
		}
		story.take(p)
		if results == nil && p.expectsJobs() && p.why() != "" {
			results = d.enqueue(ctx)
		}
		if !judged && jobs != nil && cycleOver(d.heroku.Events()) {
			judged = true
			log, err := d.sidekiq.Log.Events()
			faults := d.judge(jobs, log)
			if err = errors.Join(append(faults, err)...); once {
				story.settle(p, true)
				show(p, story)
				return d.conclude(err, len(jobs))
			}
			story.note(time.Now(), verdictNote(err, len(jobs)))
			story.note(time.Now(), "enqueue more from another terminal, or leave with Ctrl-C")
		}
		show(p, story)
		select {
		case <-ctx.Done():
			return d.unfinished(ctx, jobs, once)
		case <-d.operator.Exited():
			return d.explain(errors.New("the operator has ended"))
		case result := <-results:
			if result.err != nil && ctx.Err() == nil {
				return result.err
			}
			jobs = result.jobs
			story.note(time.Now(), fmt.Sprintf("%d jobs of %.0f s were enqueued in %s", len(jobs), jobTime.Seconds(), d.sample.queues()[0]))
		case <-tick.C:
		}
	}
}

func (d *demo) enqueue(ctx context.Context) chan enqueued {
	results := make(chan enqueued, 1)
	go func() {
		jobs, err := d.sidekiq.Enqueue(ctx, d.sample.queues()[0], jobCount, jobTime, 0)
		results <- enqueued{jobs, err}
	}()
	return results
}

func (d *demo) judge(jobs []string, log []stack.JobEvent) []error {
	return judge(d.heroku.Events(), log, jobs, d.sample.quantity())
}

// unfinished says why the end came before the cycle's, and what was missing then.
func (d *demo) unfinished(ctx context.Context, jobs []string, once bool) error {
	err := context.Cause(ctx)
	if !once || errors.Is(err, errInterrupted) {
		return err
	}
	log, _ := d.sidekiq.Log.Events()
	return d.explain(errors.Join(append([]error{err}, d.judge(jobs, log)...)...))
}

// conclude tells the verdict.
func (d *demo) conclude(err error, jobs int) error {
	if err != nil {
		return d.explain(err)
	}
	d.screen.say("\n" + verdictNote(nil, jobs))
	return nil
}

func verdictNote(err error, jobs int) string {
	if err != nil {
		return "the cycle went wrong: " + strings.ReplaceAll(err.Error(), "\n", "; ")
	}
	return fmt.Sprintf("the cycle is complete: %d jobs ran to their end, each once, and none was running when its dyno was stopped", jobs)
}

// shower returns what shows a picture: drawn in place on a terminal, else a line for each change.
func (d *demo) shower() func(picture, *journal) {
	if !d.screen.live {
		lines := &changes{}
		return func(p picture, story *journal) {
			for _, line := range lines.take(p, story.entries) {
				d.screen.say(line)
			}
		}
	}
	v := &view{
		name: d.sample.key().String(), target: d.sample.processType() + " of " + d.sample.app(), quantity: d.sample.quantity(),
	}
	return func(p picture, story *journal) {
		v.remember(p)
		v.entries = story.entries
		width, height := d.screen.size()
		d.screen.draw(v.draw(width, height, d.screen.paint), width)
	}
}
