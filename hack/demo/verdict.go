package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/queuescaler/queuescaler/internal/heroku/simulator"
	"github.com/queuescaler/queuescaler/test/stack"
)

// running are the processes of dynos that were started and have not ended.
func running(events []simulator.Event) map[int]string {
	dynos := map[int]string{}
	for _, event := range events {
		switch event.Kind {
		case simulator.Started:
			dynos[event.PID] = event.Dyno
		case simulator.Exited:
			delete(dynos, event.PID)
		}
	}
	return dynos
}

// quantities are those of the formation in their order, the same one after the other told once.
func quantities(events []simulator.Event) []int {
	var all []int
	for _, event := range events {
		if event.Kind == simulator.Scaled {
			all = append(all, event.OldQuantity, event.NewQuantity)
		}
	}
	return slices.Compact(all)
}

// cycleOver says whether dynos were started and none is left.
func cycleOver(events []simulator.Event) bool {
	all := quantities(events)
	return len(all) > 1 && all[len(all)-1] == 0 && len(running(events)) == 0
}

// judge compares Heroku's record with what the jobs wrote, and says what was amiss: the formation has to
// have gone 0 → N → 0, every job to have run to its end exactly once, and none to have been running
// when its dyno got SIGTERM.
func judge(events []simulator.Event, log []stack.JobEvent, jobs []string, quantity int) []error {
	var faults []error
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }

	want := []int{0, quantity, 0}
	if got := quantities(events); !slices.Equal(got, want) {
		fault("the formation went %s, not %s", path(got), path(want))
	}
	for pid, dyno := range running(events) {
		fault("%s still runs, as process %d", dyno, pid)
	}
	if len(jobs) == 0 {
		fault("no job was enqueued")
	}
	starts, ends := map[string]int{}, map[string]int{}
	for _, line := range log {
		switch line.Event {
		case "start":
			starts[line.Job]++
		case "end":
			ends[line.Job]++
		}
	}
	for _, job := range jobs {
		if starts[job] != 1 || ends[job] != 1 {
			fault("job %s was started %d times and ended %d times", job, starts[job], ends[job])
		}
	}
	for _, line := range caught(events, log) {
		fault("job %s was running when %s got SIGTERM", line.Job, line.Dyno)
	}
	return faults
}

func path(quantities []int) string {
	if len(quantities) == 0 {
		return "nowhere"
	}
	return strings.ReplaceAll(strings.Trim(fmt.Sprint(quantities), "[]"), " ", " → ")
}

// caught are the starts of jobs that had not ended when their dyno got SIGTERM.
func caught(events []simulator.Event, log []stack.JobEvent) []stack.JobEvent {
	terms := map[int]time.Time{}
	for _, event := range events {
		if event.Kind == simulator.Terminated {
			terms[event.PID] = event.Time
		}
	}
	return slices.DeleteFunc(slices.Clone(log), func(start stack.JobEvent) bool {
		term, stopped := terms[start.PID]
		if start.Event != "start" || !stopped || start.Time().After(term) {
			return true
		}
		return slices.ContainsFunc(log, func(end stack.JobEvent) bool {
			return end.Event != "start" && end.Job == start.Job && end.PID == start.PID && !end.Time().After(term)
		})
	})
}
