package controllers

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/queuescaler/queuescaler/internal/queue"
)

// workersFree reports whether every worker of the formation is known to be free.
func (s *scope) workersFree() bool { return s.heardFree() && s.accounted() }

// heardFree reports whether every worker that is heard said that it is quiet and has no job. A worker
// takes the signal at one heartbeat and says so at the next, so it has been quiet since then. If no worker
// is heard, workers must have had the time to be heard again. While the queue is not known, no worker is free.
func (s *scope) heardFree() bool {
	if s.queueProblem != nil || !s.snapshot.Known() {
		return false
	}
	workers := s.formationWorkers()
	for _, process := range s.snapshot.Processes { // spec.drain.processTag may be another one by now
		if _, told := s.memory.quieting.told[process.Identity]; told {
			workers = append(workers, process)
		}
	}
	if len(workers) == 0 {
		return !s.now.Before(s.snapshot.SettledAt)
	}
	return !slices.ContainsFunc(workers, func(p queue.Process) bool { return !p.Fresh() || !p.Quiet || p.Busy > 0 })
}

// formationWorkers are the processes of the formation's dynos, as far as names and tags tell.
func (s *scope) formationWorkers() []queue.Process {
	tag := s.object.Spec.Drain.ProcessTag
	var workers []queue.Process
	for _, process := range s.snapshot.Processes {
		if process.Dyno != "" && (tag == "" || process.Tag == tag) {
			workers = append(workers, process)
		}
	}
	return workers
}

// allQuiet reports whether workers of the formation are heard, and all of them take no more jobs.
func (s *scope) allQuiet() bool {
	quiet := false
	for _, worker := range s.formationWorkers() {
		if worker.Fresh() && !worker.Quiet {
			return false
		}
		quiet = quiet || worker.Fresh()
	}
	return quiet
}

// heardQuiet reports whether a worker of the formation has said since some time that it takes no more jobs. What a
// worker said before that may have been its last word.
func (s *scope) heardQuiet(t time.Time) bool {
	return !t.IsZero() && slices.ContainsFunc(s.formationWorkers(), func(p queue.Process) bool {
		return p.Quiet && s.snapshot.HeardAfter(p, t)
	})
}

// mayDrain returns why the formation's processes must not be told to take no more jobs; empty if they may.
// They may not if they cannot be told for certain from those of other apps, whose dynos have the same names:
// quieting others' workers would stop their work for good.
func (s *scope) mayDrain() string {
	spec, quantity := s.object.Spec, *s.memory.quantity
	workers := s.formationWorkers()
	if len(workers) == 0 {
		return fmt.Sprintf("no worker process is called %s.1 or alike%s: Sidekiq takes the name from the environment variable DYNO",
			spec.Heroku.ProcessType, taggedWith(spec.Drain.ProcessTag))
	}
	dynos, tags, foreign := map[string]int{}, map[string]bool{}, false
	for _, worker := range workers {
		if worker.Embedded {
			return fmt.Sprintf("Sidekiq runs embedded in %s, and then ignores what tells it to take no more jobs: set spec.drain.mode to None", worker.Dyno)
		}
		dynos[worker.Dyno]++
		tags[worker.Tag] = true
		number, err := strconv.Atoi(strings.TrimPrefix(worker.Dyno, spec.Heroku.ProcessType+"."))
		foreign = foreign || (err == nil && number > quantity)
	}
	twice := len(dynos) < len(workers)
	switch cure := "start this app's with sidekiq -g TAG, and set spec.drain.processTag to TAG"; {
	case spec.Drain.ProcessTag == "" && (twice || len(tags) > 1):
		return fmt.Sprintf("several worker processes are called %s: %s", mostCommon(dynos), cure)
	case foreign || len(dynos) > quantity:
		return fmt.Sprintf("more worker processes are called after %s%s than the formation's %d dynos, so some are another app's: %s",
			spec.Heroku.ProcessType, taggedWith(spec.Drain.ProcessTag), quantity, cure)
	}
	return ""
}

func taggedWith(tag string) string {
	if tag == "" {
		return ""
	}
	return fmt.Sprintf(" and tagged %q", tag)
}

// mostCommon is the name that occurs most often, the first of several.
func mostCommon(names map[string]int) (most string) {
	for name, count := range names {
		if most == "" || count > names[most] || (count == names[most] && name < most) {
			most = name
		}
	}
	return most
}
