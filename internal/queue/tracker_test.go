package queue

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// at is a look that lasted half a second, up to s seconds past the epoch.
func at(s float64, more ...func(*Observation)) Observation {
	end := epoch.Add(seconds(s))
	o := Observation{Start: end.Add(-500 * time.Millisecond), End: end, Heartbeats: true}
	for _, m := range more {
		m(&o)
	}
	return o
}

func depth(n int64) func(*Observation)     { return func(o *Observation) { o.Depth = n } }
func inFlight(n int64) func(*Observation)  { return func(o *Observation) { o.InFlight = n } }
func processed(n int64) func(*Observation) { return func(o *Observation) { o.Processed = n } }

// due says when the next job is due, in seconds past the epoch; 0 stands for none.
func due(s float64) func(*Observation) {
	return func(o *Observation) {
		if s > 0 {
			o.NextDue = epoch.Add(seconds(s))
		}
	}
}

// readUntil says until when the schedule was read.
func readUntil(s float64) func(*Observation) {
	return func(o *Observation) { o.DueKnownUntil = epoch.Add(seconds(s)) }
}

// orphans are one job left by a worker that died.
func orphans(mark uint64) func(*Observation) {
	return func(o *Observation) { o.Orphans, o.OrphanMark = 1, mark }
}

// heard adds a process with a heartbeat of this age.
func heard(identity string, ago float64) func(*Observation) {
	return func(o *Observation) {
		o.Processes = append(o.Processes, Process{Identity: identity, HeardAgo: seconds(ago)})
	}
}

func TestTracker(t *testing.T) {
	const never = -1.0
	failed := Observation{}
	for name, test := range map[string]struct {
		looks     []Observation
		idleSince float64
		settledAt float64
		heard     bool
	}{
		"the first look":            {[]Observation{at(1)}, 1, 31, true},
		"idle all along":            {[]Observation{at(1), at(11), at(21)}, 1, 31, true},
		"a job waits":               {[]Observation{at(1), at(11, depth(1))}, never, 31, false},
		"a job runs":                {[]Observation{at(1), at(11, inFlight(1))}, never, 31, false},
		"idle again":                {[]Observation{at(1), at(11, depth(1)), at(21)}, 21, 31, true},
		"a job came and went":       {[]Observation{at(1), at(11), at(21, processed(1)), at(31, processed(1))}, 21, 31, true},
		"the count was not known":   {[]Observation{at(1, processed(-1)), at(11, processed(7)), at(21, processed(-1))}, 1, 31, true},
		"orphans":                   {[]Observation{at(1), at(11, orphans(7)), at(21, orphans(7))}, 11, 31, true},
		"an orphan was recovered":   {[]Observation{at(1, orphans(7)), at(11, orphans(7)), at(21)}, 21, 31, true},
		"another orphan":            {[]Observation{at(1, orphans(7)), at(11, orphans(8)), at(21, orphans(8))}, 11, 31, true},
		"a due job was taken":       {[]Observation{at(1, due(15)), at(11, due(15)), at(21), at(31)}, 21, 31, true},
		"the next one is due later": {[]Observation{at(1, due(15)), at(11, due(15)), at(21, due(500)), at(31, due(500))}, 21, 31, true},
		"one was taken early":       {[]Observation{at(1, due(500)), at(11), at(21)}, 11, 31, true},
		"a due job still stands":    {[]Observation{at(1, due(15)), at(11, due(15)), at(21, due(15))}, 1, 31, true},
		"one is due sooner":         {[]Observation{at(1, due(500)), at(11, due(200)), at(21, due(200))}, 1, 31, true},
		"a due time that wavers":    {[]Observation{at(1, due(500)), at(11, due(500.4)), at(21, due(499.9))}, 1, 31, true},
		"the schedule was not read": {[]Observation{at(1, due(500)), at(11, readUntil(300)), at(21, readUntil(300))}, 1, 31, true},
		"it was read beyond":        {[]Observation{at(1, due(200)), at(11, readUntil(300)), at(21, readUntil(300))}, 11, 31, true},
		"an error":                  {[]Observation{at(1), failed}, never, never, false},
		"after an error":            {[]Observation{at(1), failed, at(21), at(31)}, 21, 51, true},
		"a gap":                     {[]Observation{at(1), at(101), at(111)}, 101, 131, true},
		"nearly a gap":              {[]Observation{at(1), at(60)}, 1, 31, true},
		"a process vanished":        {[]Observation{at(1, heard("a", 1)), at(11)}, 11, 41, true},
		"one of two vanished":       {[]Observation{at(1, heard("a", 1), heard("b", 1)), at(11, heard("b", 1))}, 11, 41, false},
		"another process came":      {[]Observation{at(1, heard("a", 1)), at(11, heard("a", 1), heard("b", 0))}, 1, 31, true},
		"not heard since":           {[]Observation{at(1, heard("a", 1)), at(6, heard("a", 6))}, 1, 31, false},
		"heard at that very moment": {[]Observation{at(1, heard("a", 1)), at(11.5, heard("a", 10))}, 1, 31, false},
		"heard, counted before":     {[]Observation{at(1, heard("a", 1)), at(11, heard("a", 9))}, 1, 31, false},
		"heard, counted since":      {[]Observation{at(1, heard("a", 1)), at(11, heard("a", 8.4))}, 1, 31, true},
		"heard since":               {[]Observation{at(1, heard("a", 1)), at(11, heard("a", 5))}, 1, 31, true},
		"only one heard since":      {[]Observation{at(1, heard("a", 1), heard("b", 1)), at(11, heard("a", 5), heard("b", 11))}, 1, 31, false},
		"heard since, but long ago": {[]Observation{at(1, heard("a", 1)), at(40, heard("a", 31))}, 1, 31, false},
		"age not known":             {[]Observation{at(1, heard("a", -1)), at(11, heard("a", -1))}, 1, 31, false},
	} {
		t.Run(name, func(t *testing.T) {
			tr := tracker{maxGap: time.Minute}
			for _, look := range test.looks {
				if look.End.IsZero() {
					tr.failed(&Error{Kind: Unreachable})
				} else {
					tr.saw(look)
				}
			}
			check := func(what string, got time.Time, want float64) {
				t.Helper()
				if (want == never) != got.IsZero() || want != never && !got.Equal(epoch.Add(seconds(want))) {
					t.Errorf("%s: got %v, want %v s", what, got.Sub(epoch), want)
				}
			}
			check("idle since", tr.snapshot.IdleSince, test.idleSince)
			check("settled at", tr.snapshot.SettledAt, test.settledAt)
			if tr.snapshot.Heard != test.heard {
				t.Errorf("heard: got %v", tr.snapshot.Heard)
			}
		})
	}
}

func TestListNeedsNoSettling(t *testing.T) {
	var tr tracker
	tr.saw(at(1, func(o *Observation) { o.Heartbeats = false }))
	if s := tr.snapshot; !s.SettledAt.IsZero() || !s.Heard || s.IdleSince.IsZero() {
		t.Errorf("%+v", s)
	}
}

// TestTrackerProperty holds the idle clock to its word through any sequence of looks.
func TestTrackerProperty(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		tr := tracker{maxGap: time.Minute}
		clock := epoch
		var restarted time.Time // the end of the last look that showed activity or followed a gap
		var last Observation
		known := false
		for range rapid.IntRange(1, 30).Draw(r, "looks") {
			clock = clock.Add(seconds(float64(rapid.SampledFrom([]int{1, 10, 15, 59, 62, 300}).Draw(r, "pause"))))
			if rapid.IntRange(0, 9).Draw(r, "fails") == 0 {
				tr.failed(&Error{Kind: Unreachable})
				known = false
				if s := tr.snapshot; s.Known() || s.Heard || !s.IdleSince.IsZero() {
					r.Fatalf("after an error: %+v", s)
				}
				continue
			}
			look := drawLook(r, clock)
			clock = look.End
			if !known || look.Start.Sub(last.End) > tr.maxGap || vanished(last, look) ||
				look.Active() || (last.Processed >= 0 && look.Processed >= 0 && last.Processed != look.Processed) {
				restarted = look.End
			}
			tr.saw(look)
			last, known = look, true
			checkClock(r, tr.snapshot, restarted)
		}
	})
}

func drawLook(r *rapid.T, start time.Time) Observation {
	look := Observation{
		Start: start, End: start.Add(rapid.SampledFrom([]time.Duration{0, time.Second, 10 * time.Second}).Draw(r, "took")),
		Depth:      rapid.SampledFrom([]int64{0, 0, 0, 2}).Draw(r, "depth"),
		InFlight:   rapid.SampledFrom([]int64{0, 0, 0, 1}).Draw(r, "in flight"),
		Processed:  rapid.SampledFrom([]int64{5, 5, 5, 6, -1}).Draw(r, "processed"),
		Heartbeats: true,
	}
	for _, identity := range []string{"a", "b"} {
		if rapid.IntRange(0, 7).Draw(r, "there") > 0 {
			look.Processes = append(look.Processes, Process{
				Identity: identity, HeardAgo: seconds(float64(rapid.SampledFrom([]int{-1, 0, 3, 9, 29, 31, 50}).Draw(r, "heard"))),
			})
		}
	}
	return look
}

func checkClock(r *rapid.T, s Snapshot, restarted time.Time) {
	if s.Active() != s.IdleSince.IsZero() {
		r.Fatalf("active %v, idle since %v", s.Active(), s.IdleSince)
	}
	if !s.IdleSince.IsZero() && s.IdleSince.Before(restarted) {
		r.Fatalf("idle since %v, before %v", s.IdleSince, restarted)
	}
	if !s.Heard {
		return
	}
	for _, process := range s.Processes {
		if !process.Fresh() || !s.Start.Add(-process.HeardAgo).After(s.IdleSince) {
			r.Fatalf("%+v is said to be heard since %v", process, s.IdleSince)
		}
	}
}

func TestMatters(t *testing.T) {
	idle := at(1, heard("a", 1))
	is := func(o Observation) Snapshot { return Snapshot{Observation: o, IdleSince: epoch} }
	busy := func(o Observation) Snapshot { return Snapshot{Observation: o} }
	broken := func(kind ErrorKind, message string) Snapshot {
		return Snapshot{Observation: idle, Err: &Error{Kind: kind, Message: message}}
	}
	with := func(more func(*Observation)) Observation { return at(1, heard("a", 1), more) }
	for name, test := range map[string]struct {
		last, next    Snapshot
		changed, wake bool
	}{
		"nothing":             {is(idle), is(idle), false, false},
		"the first look":      {Snapshot{}, is(idle), true, false},
		"the first with work": {Snapshot{}, busy(with(depth(1))), true, true},
		"work comes":          {is(idle), busy(with(depth(1))), true, true},
		"more comes":          {busy(with(depth(1))), busy(with(depth(9))), false, false},
		"all is taken":        {busy(with(depth(1))), busy(with(inFlight(1))), true, false},
		"more runs":           {busy(with(inFlight(1))), busy(with(inFlight(2))), false, false},
		"more, while one runs": {
			busy(with(inFlight(1))), busy(with(func(o *Observation) { o.InFlight, o.Depth = 1, 1 })), true, true,
		},
		"all is done":        {busy(with(inFlight(1))), is(idle), true, false},
		"an error":           {is(idle), broken(Unreachable, "x"), true, false},
		"the same error":     {broken(Unreachable, "x"), broken(Unreachable, "x"), false, false},
		"another error":      {broken(Unreachable, "x"), broken(Unreachable, "y"), true, false},
		"healthy again":      {broken(Unreachable, "x"), is(idle), true, false},
		"healthy, with work": {broken(Unreachable, "x"), busy(with(depth(1))), true, true},
		"due":                {is(idle), is(with(func(o *Observation) { o.NextDue = epoch })), true, false},
		"doubt":              {is(idle), is(with(func(o *Observation) { o.Doubt = "x" })), true, false},
		"no worker lives":    {is(idle), is(at(1)), true, false},
		"quiet":              {is(idle), is(with(func(o *Observation) { o.Processes[0].Quiet = true })), true, false},
		"another not served": {
			is(with(func(o *Observation) { o.NotServed = []string{"a"} })), is(with(func(o *Observation) { o.NotServed = []string{"b"} })), true, false,
		},
		"another paused": {
			is(with(func(o *Observation) { o.Paused = []string{"a"} })), is(with(func(o *Observation) { o.Paused = []string{"b"} })), true, false,
		},
		"orphans":           {is(idle), is(with(orphans(7))), true, true},
		"the same orphans":  {is(with(orphans(7))), is(with(orphans(7))), false, false},
		"other orphans":     {is(with(orphans(7))), is(with(orphans(8))), true, false},
		"none any more":     {is(with(orphans(7))), is(idle), true, false},
		"the first orphans": {Snapshot{}, is(with(orphans(7))), true, true},
		"heard":             {is(idle), Snapshot{Observation: idle, IdleSince: epoch, Heard: true}, true, false},
	} {
		t.Run(name, func(t *testing.T) {
			if changed, wake := matters(test.last, test.next); changed != test.changed || wake != test.wake {
				t.Errorf("got %v, %v", changed, wake)
			}
		})
	}
}

func TestSteady(t *testing.T) {
	for _, test := range []struct{ last, look, want time.Time }{
		{time.Time{}, epoch, epoch},
		{epoch, time.Time{}, time.Time{}},
		{epoch, epoch.Add(999 * time.Millisecond), epoch},
		{epoch, epoch.Add(-999 * time.Millisecond), epoch},
		{epoch, epoch.Add(time.Second), epoch.Add(time.Second)},
	} {
		if got := steady(test.last, test.look); !got.Equal(test.want) {
			t.Errorf("%v after %v: got %v", test.look, test.last, got)
		}
	}
}
