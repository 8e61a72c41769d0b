package races

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/queuescaler/queuescaler/internal/heroku/simulator"
	"github.com/queuescaler/queuescaler/test/stack"
)

// closeness is how far from the arrival of a stop a job counts as close to it.
const closeness = 100 * time.Millisecond

// verdict is what became of a job.
type verdict struct {
	interrupted, lost, twice, unserved, close bool

	started bool
	wait    time.Duration // from the push to the first start
}

// record is what the job log and the simulator wrote of a lane.
type record struct {
	jobs   map[string][]stack.JobEvent
	dynos  []simulator.Event
	terms  map[int]time.Time // by process
	stops  []time.Time
	laneOf *lane
}

// judge compares the job logs with the simulator's record.
func (e *experiment) judge() Result {
	result := Result{Runs: int(e.ended.Load()), Strategies: map[string]*Tally{}}
	events := map[string][]simulator.Event{}
	for _, event := range e.events() {
		events[event.App] = append(events[event.App], event)
	}
	for _, name := range slices.Sorted(maps.Keys(e.lanes)) {
		result.take(newRecord(e.lanes[name], events[name]), e.Unserved)
	}
	slices.Sort(result.Waits)
	for _, tally := range result.Strategies {
		slices.Sort(tally.Waits)
	}
	return result
}

func newRecord(l *lane, events []simulator.Event) *record {
	r := &record{jobs: map[string][]stack.JobEvent{}, dynos: events, terms: map[int]time.Time{}, stops: l.times(stopping), laneOf: l}
	for _, event := range events {
		if event.Kind == simulator.Terminated {
			r.terms[event.PID] = event.Time
		}
	}
	for _, event := range l.log.events {
		r.jobs[event.Job] = append(r.jobs[event.Job], event)
	}
	return r
}

// take adds what a lane has to tell.
func (r *Result) take(lane *record, patience time.Duration) {
	l := lane.laneOf
	r.Stops += len(l.times(stopped))
	for _, event := range lane.dynos {
		if event.Kind == simulator.Scaled && event.OldQuantity == 0 && event.NewQuantity > 0 {
			r.Wakes++
		}
	}
	for _, p := range l.pushes {
		v := lane.verdict(p, patience)
		if r.Strategies[p.strategy] == nil {
			r.Strategies[p.strategy] = &Tally{}
		}
		r.add(v)
		r.Strategies[p.strategy].add(v)
		if what := v.String(); what != "" {
			r.Incidents = append(r.Incidents, Incident{what, l.name, p.strategy, p.job, lane.timeline(p)})
		}
	}
	r.Unstopped += len(l.unstopped)
	for _, at := range l.unstopped {
		r.Incidents = append(r.Incidents, Incident{What: "no stop came", Lane: l.name,
			Timeline: lane.between(at.Add(-l.Patience-settleTime), at)})
	}
}

// String says what is wrong; nothing if all is well.
func (v verdict) String() string {
	switch {
	case v.lost:
		return "lost"
	case v.interrupted:
		return "interrupted"
	case v.twice:
		return "run twice"
	case v.unserved:
		return fmt.Sprintf("unserved for %s", v.wait.Round(time.Millisecond))
	}
	return ""
}

// verdict judges one job.
func (r *record) verdict(p push, patience time.Duration) verdict {
	var v verdict
	starts, ends := 0, 0
	for i, event := range r.jobs[p.job] {
		switch event.Event {
		case "start":
			if starts++; starts == 1 {
				v.started, v.wait = true, event.Time().Sub(p.at)
			}
			v.interrupted = v.interrupted || r.runsAtTerm(event, r.jobs[p.job][i+1:])
		case "end":
			ends++
		case "interrupted":
			v.interrupted = true
		}
	}
	v.lost = ends == 0
	v.twice = starts > 1 && !v.interrupted
	v.unserved = !v.started || v.wait > patience
	v.close = slices.ContainsFunc(r.stops, func(at time.Time) bool { return p.at.Sub(at).Abs() <= closeness })
	return v
}

// runsAtTerm says whether a job's dyno got TERM between its start and what came of it in this process.
func (r *record) runsAtTerm(start stack.JobEvent, rest []stack.JobEvent) bool {
	term, ok := r.terms[start.PID]
	if !ok || term.Before(start.Time()) {
		return false
	}
	i := slices.IndexFunc(rest, func(e stack.JobEvent) bool { return e.PID == start.PID })
	return i < 0 || term.Before(rest[i].Time())
}

// timeline is what happened to a job, and around it.
func (r *record) timeline(p push) []string {
	end := p.at
	for _, event := range r.jobs[p.job] {
		end = event.Time()
	}
	const before, after = 10 * time.Second, 5 * time.Second
	return r.between(p.at.Add(-before), end.Add(after))
}

// between is all that happened in the lane, in order.
func (r *record) between(begin, end time.Time) []string {
	type entry struct {
		at   time.Time
		text string
	}
	var entries []entry
	add := func(at time.Time, text string) { entries = append(entries, entry{at, text}) }
	for _, p := range r.laneOf.pushes {
		add(p.at, "push of "+p.job+", "+p.strategy)
	}
	for _, event := range r.laneOf.log.events {
		add(event.Time(), fmt.Sprintf("job %s %s (%d)", event.Job, event.Event, event.PID))
	}
	for _, event := range r.dynos {
		if event.Kind == simulator.Scaled {
			add(event.Time, fmt.Sprintf("scaled %d to %d", event.OldQuantity, event.NewQuantity))
		} else {
			add(event.Time, fmt.Sprintf("%s %s (%d)", event.Dyno, event.Kind, event.PID))
		}
	}
	for _, past := range r.laneOf.past {
		add(past.at, string(past.what))
	}
	slices.SortStableFunc(entries, func(a, b entry) int { return cmp.Compare(a.at.UnixNano(), b.at.UnixNano()) })
	var lines []string
	for _, e := range entries {
		if e.at.After(begin) && e.at.Before(end) {
			lines = append(lines, e.at.UTC().Format("15:04:05.000000 ")+e.text)
		}
	}
	return lines
}
