package races

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// Result is what was found.
type Result struct {
	Runs int
	// Tally is of all jobs, those that were pushed to have a worker started included.
	Tally
	// Strategies has the tallies of the probes, and of those others as warm-up.
	Strategies map[string]*Tally
	// Stops and Wakes count the PATCHes to 0, and from 0.
	Stops, Wakes int
	// Unstopped counts stops that did not come.
	Unstopped int
	// Incidents are all that should not be.
	Incidents []Incident
}

// Tally counts jobs.
type Tally struct {
	Jobs int
	// Interrupted are those that ran when their dyno got TERM, or were interrupted later.
	Interrupted int
	// Lost have not ended.
	Lost int
	// Twice were started again although they were not interrupted. One that was may still have ended:
	// Sidekiq puts it back before it interrupts it.
	Twice int
	// Unserved have waited too long for their start.
	Unserved int
	// Close were pushed within 100 ms of the arrival of a stop.
	Close int
	// Waits are the times from push to start, sorted.
	Waits []time.Duration
}

// Incident is something that should not be, with what happened around it.
type Incident struct {
	What, Lane, Strategy, Job string
	Timeline                  []string
}

// String tells all of it.
func (i Incident) String() string {
	head := strings.Join([]string{i.What, i.Lane, i.Strategy, i.Job}, " ")
	return strings.Join(append([]string{head}, i.Timeline...), "\n")
}

func (t *Tally) add(v verdict) {
	t.Jobs++
	for _, count := range []struct {
		of bool
		in *int
	}{
		{v.interrupted, &t.Interrupted}, {v.lost, &t.Lost}, {v.twice, &t.Twice}, {v.unserved, &t.Unserved}, {v.close, &t.Close},
	} {
		if count.of {
			*count.in++
		}
	}
	if v.started {
		t.Waits = append(t.Waits, v.wait)
	}
}

// Wait is a quantile of the times from push to start.
func (t Tally) Wait(quantile float64) time.Duration {
	if len(t.Waits) == 0 {
		return 0
	}
	return t.Waits[int(quantile*float64(len(t.Waits)-1)+0.5)]
}

// String is a table for people.
func (r Result) String() string {
	var text strings.Builder
	fmt.Fprintf(&text, "%d runs, %d stops, %d wakes, %d stops that did not come\n", r.Runs, r.Stops, r.Wakes, r.Unstopped)
	table := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "jobs pushed\tjobs\tinterrupted\tlost\ttwice\tunserved\tclose to a stop\twait: median\t99 %\tmax")
	for _, name := range slices.Sorted(maps.Keys(r.Strategies)) {
		r.Strategies[name].row(table, name)
	}
	r.row(table, "all")
	_ = table.Flush() // into memory
	return text.String()
}

func (t Tally) row(table *tabwriter.Writer, name string) {
	fmt.Fprintf(table, "%s\t%d\t%d\t%d\t%d\t%d\t%d\t%.2f s\t%.2f s\t%.2f s\n", name, t.Jobs, t.Interrupted, t.Lost, t.Twice,
		t.Unserved, t.Close, t.Wait(0.5).Seconds(), t.Wait(0.99).Seconds(), t.Wait(1).Seconds())
}
