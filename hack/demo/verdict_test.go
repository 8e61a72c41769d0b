package main

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/queuescaler/queuescaler/internal/heroku/simulator"
	"github.com/queuescaler/queuescaler/test/stack"
)

func scaled(from, to int) simulator.Event {
	return simulator.Event{Kind: simulator.Scaled, Method: "PATCH", OldQuantity: from, NewQuantity: to}
}

func life(kind simulator.Kind, pid int, second float64) simulator.Event {
	return simulator.Event{Kind: kind, Dyno: "worker.1", PID: pid, Time: after(second)}
}

func line(event, job string, second float64) stack.JobEvent {
	return stack.JobEvent{Event: event, Job: job, Dyno: "worker.1", PID: 7, At: float64(after(second).UnixMicro()) / 1e6}
}

func after(second float64) time.Time { return noon.Add(time.Duration(second * float64(time.Second))) }

func goodRecord() []simulator.Event {
	return []simulator.Event{
		scaled(0, 2), life(simulator.Started, 7, 1), scaled(2, 2), scaled(2, 0),
		life(simulator.Terminated, 7, 20), life(simulator.Exited, 7, 21),
	}
}

func goodLog() []stack.JobEvent {
	return []stack.JobEvent{line("start", "a", 2), line("start", "b", 3), line("end", "b", 4), line("end", "a", 5)}
}

func TestJudge(t *testing.T) {
	tests := map[string]struct {
		events []simulator.Event
		log    []stack.JobEvent
		want   string // empty for no fault
	}{
		"good":            {goodRecord(), goodLog(), ""},
		"nothing":         {nil, nil, "the formation went nowhere, not 0 → 2 → 0"},
		"never stopped":   {goodRecord()[:3], goodLog(), "the formation went 0 → 2, not 0 → 2 → 0"},
		"woken twice":     {append(goodRecord(), scaled(0, 2), scaled(2, 0)), goodLog(), "the formation went 0 → 2 → 0 → 2 → 0, not 0 → 2 → 0"},
		"too few":         {append([]simulator.Event{scaled(0, 1), scaled(1, 0)}, goodRecord()[4:]...), goodLog(), "the formation went 0 → 1 → 0, not 0 → 2 → 0"},
		"still there":     {goodRecord()[:5], goodLog(), "worker.1 still runs, as process 7"},
		"a job lost":      {goodRecord(), goodLog()[:3], "job a was started 1 times and ended 0 times"},
		"a job twice":     {goodRecord(), append(goodLog(), line("start", "a", 6), line("end", "a", 7)), "job a was started 2 times and ended 2 times"},
		"caught":          {goodRecord(), append(goodLog()[:3], line("end", "a", 20.5)), "job a was running when worker.1 got SIGTERM"},
		"interrupted":     {goodRecord(), append(goodLog()[:3], line("interrupted", "a", 20.5)), "job a was running when worker.1 got SIGTERM"},
		"killed with job": {goodRecord(), goodLog()[:3], "job a was running when worker.1 got SIGTERM"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			faults := judge(test.events, test.log, []string{"a", "b"}, 2)
			told := errors.Join(faults...)
			switch {
			case test.want == "" && told != nil:
				t.Errorf("got %v, want no fault", told)
			case test.want != "" && !slices.ContainsFunc(faults, func(err error) bool { return strings.Contains(err.Error(), test.want) }):
				t.Errorf("got %v, want %q", told, test.want)
			}
		})
	}
	if judge(goodRecord(), goodLog(), nil, 2) == nil {
		t.Error("a cycle without jobs is accepted")
	}
}

func TestCycleOver(t *testing.T) {
	record := goodRecord()
	for i := range record {
		if cycleOver(record[:i]) {
			t.Errorf("over after %d of %d events", i, len(record))
		}
	}
	if !cycleOver(record) {
		t.Error("not over at its end")
	}
}
