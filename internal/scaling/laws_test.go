package scaling

import (
	"reflect"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// proven is the proof of zero, spelled out once more.
func proven(in Input) bool {
	w := in.Work
	if in.Suspended || in.WakeUntil.After(in.Now) || inWindow(in) || in.WindowsDoubtful || in.Protected || w == nil || in.Quantity == nil {
		return false
	}
	horizon := in.Now.Add(in.IdleTimeout).Add(in.WakeLead)
	idleFor := in.Now.Sub(w.IdleSince)
	return w.Depth == 0 && w.InFlight == 0 && !w.Doubtful && !w.Absent && !w.Elsewhere && !w.Unwatched && w.Heard && w.Accounted &&
		!w.IdleSince.IsZero() && idleFor >= in.IdleTimeout &&
		!w.SettledAt.After(in.Now) &&
		(in.NextOpen.IsZero() || in.NextOpen.After(horizon)) &&
		(w.NextDue.IsZero() || w.NextDue.After(horizon)) &&
		(w.DueKnownUntil.IsZero() || w.DueKnownUntil.After(horizon))
}

// inWindow says whether a window is open, or opens within the lead.
func inWindow(in Input) bool {
	return in.OpenUntil.After(in.Now) || (!in.NextOpen.IsZero() && in.NextOpen.Sub(in.Now) <= in.WakeLead)
}

// working says whether workers must run: there is work, it is about to be due, or somebody asks.
func working(in Input) bool {
	if in.WakeUntil.After(in.Now) || inWindow(in) {
		return true
	}
	w := in.Work
	return w != nil && (w.Depth > 0 || w.InFlight > 0 ||
		(!w.NextDue.IsZero() && w.NextDue.Sub(in.Now) <= in.WakeLead))
}

// laws hold for every input.
var laws = []struct {
	name string
	law  func(*rapid.T, Input)
}{
	{"an unknown queue or formation never lowers", func(t *rapid.T, in Input) {
		got := Decide(in)
		switch {
		case in.Work == nil && got.Desired != nil && (!working(in) || *got.Desired < number(in.Quantity)):
			t.Fatalf("queue unknown, yet %s wants %d", got.Reason, *got.Desired)
		case in.Quantity == nil && got.Desired != nil && (!working(in) || *got.Desired < in.ActiveQuantity):
			t.Fatalf("formation unknown, yet %s wants %d", got.Reason, *got.Desired)
		}
	}},
	{"suspended holds", func(t *rapid.T, in Input) {
		in.Suspended = true
		if got := Decide(in); got.Desired != nil || got.Reason != Suspended {
			t.Fatalf("%s wants %d", got.Reason, number(got.Desired))
		}
	}},
	{"a decrease is to zero, and wants the whole proof", func(t *rapid.T, in Input) {
		got := Decide(in)
		lowers := got.Desired != nil && *got.Desired < number(in.Quantity)
		if lowers && *got.Desired != 0 {
			t.Fatalf("lowered to %d", *got.Desired)
		}
		if lowers && !proven(in) {
			t.Fatalf("lowered without the proof: %s", got.Reason)
		}
	}},
	{"the whole proof is enough", func(t *rapid.T, in Input) {
		if got := Decide(in); proven(in) && number(got.Desired) != 0 {
			t.Fatalf("proven, yet %s wants %d", got.Reason, number(got.Desired))
		}
	}},
	{"absence never lowers, and changes nothing else", func(t *rapid.T, in Input) {
		if in.Work == nil {
			return
		}
		in.Work.Absent = false
		there := Decide(in)
		in.Work.Absent = true
		absent := Decide(in)
		if absent.Desired != nil && *absent.Desired < number(in.Quantity) {
			t.Fatalf("absent, yet %s wants %d of %d", absent.Reason, *absent.Desired, number(in.Quantity))
		}
		if (there.Reason.Active() || number(in.Quantity) == 0) && !reflect.DeepEqual(absent, there) {
			t.Fatalf("a start waits: %+v, were the queue there %+v", absent, there)
		}
	}},
	{"zero only after the whole timeout", func(t *rapid.T, in Input) {
		got := Decide(in)
		if number(in.Quantity) > 0 && number(got.Desired) == 0 &&
			(in.Work.IdleSince.IsZero() || in.Now.Before(in.Work.IdleSince.Add(in.IdleTimeout))) {
			t.Fatalf("zero %v before the end of the timeout", in.Work.IdleSince.Add(in.IdleTimeout).Sub(in.Now))
		}
	}},
	{"the end of the timeout is ahead, and where nothing else comes, it is the wait", func(t *rapid.T, in Input) {
		got := Decide(in)
		if got.ZeroAt.IsZero() {
			return
		}
		if got.Reason != IdleTimeout || !got.ZeroAt.After(in.Now) {
			t.Fatalf("%s with zero in %v", got.Reason, got.ZeroAt.Sub(in.Now))
		}
		in.Work.NextDue, in.Work.DueKnownUntil, in.Work.Heard, in.NextOpen = time.Time{}, time.Time{}, true, time.Time{}
		in.Work.Accounted = true
		in.Now = got.ZeroAt
		if !proven(in) {
			t.Fatal("at the announced time there is no proof")
		}
		in.Now = got.ZeroAt.Add(-1)
		if proven(in) {
			t.Fatal("the proof is there before the announced time")
		}
	}},
	{"while active nothing stops, and at least N run", func(t *rapid.T, in Input) {
		got := Decide(in)
		if in.Suspended || !working(in) {
			if got.Reason.Active() {
				t.Fatalf("%s without work", got.Reason)
			}
			return
		}
		if !got.Reason.Active() || got.Desired == nil || *got.Desired != max(in.ActiveQuantity, number(in.Quantity)) {
			t.Fatalf("%s wants %d of %d, active %d", got.Reason, number(got.Desired), number(in.Quantity), in.ActiveQuantity)
		}
	}},
	{"waiting work wants N", func(t *rapid.T, in Input) {
		if in.Suspended || in.Work == nil || in.Quantity == nil || in.Work.Depth == 0 {
			return
		}
		if got := Decide(in); number(got.Desired) < in.ActiveQuantity {
			t.Fatalf("%s wants %d of %d", got.Reason, number(got.Desired), in.ActiveQuantity)
		}
	}},
	{"idempotent", func(t *rapid.T, in Input) {
		first := Decide(in)
		if again := Decide(in); !reflect.DeepEqual(first, again) {
			t.Fatalf("decided %+v, then %+v", first, again)
		}
		if first.Desired == nil {
			return
		}
		in.Quantity = first.Desired
		if second := Decide(in); number(second.Desired) != *first.Desired {
			t.Fatalf("%s wants %d; with that, %s wants %d", first.Reason, *first.Desired, second.Reason, number(second.Desired))
		}
	}},
	{"with fixed work and nothing due, monotone in time", func(t *rapid.T, in Input) {
		if in.Work != nil {
			in.Work.NextDue, in.Work.DueKnownUntil = time.Time{}, time.Time{}
		}
		in.NextOpen = time.Time{}
		first := Decide(in)
		in.Now = in.Now.Add(drawAhead(t, in, 48*time.Hour))
		if later := Decide(in); first.Desired != nil && number(later.Desired) > *first.Desired {
			t.Fatalf("%s wants %d, later %s wants %d", first.Reason, *first.Desired, later.Reason, *later.Desired)
		}
	}},
	{"a recheck is ahead, and not far", func(t *rapid.T, in Input) {
		if got := Decide(in); got.Recheck <= 0 || got.Recheck > 10*time.Minute {
			t.Fatalf("%s rechecked in %v", got.Reason, got.Recheck)
		}
	}},
	{"a recheck is early enough", func(t *rapid.T, in Input) {
		first := Decide(in)
		in.Now = in.Now.Add(drawAhead(t, in, first.Recheck-1))
		if later := Decide(in); number(later.Desired) != number(first.Desired) {
			t.Fatalf("%s wants %d and a recheck in %v; %v later %s wants %d", first.Reason, number(first.Desired),
				first.Recheck, in.Now.Sub(now), later.Reason, number(later.Desired))
		}
	}},
}

// drainLaws hold for every input with a drain.
var drainLaws = []struct {
	name string
	law  func(*rapid.T, Input)
}{
	{"what is not known holds", func(t *rapid.T, in Input) {
		got := Decide(in)
		if in.Quantity == nil && got.Desired != nil {
			t.Fatalf("%s wants %d", got.Reason, *got.Desired)
		}
		if in.Work == nil && number(in.Quantity) > 0 && got.Desired != nil {
			t.Fatalf("%s wants %d", got.Reason, *got.Desired)
		}
	}},
	{"it ends with zero as soon as the workers are free, or jobs have waited for long", func(t *rapid.T, in Input) {
		if in.Work == nil || number(in.Quantity) <= 0 {
			return
		}
		waiting := in.Work.Depth > 0 || (!in.Work.NextDue.IsZero() && !in.Work.NextDue.After(in.Now))
		ends := (in.Drain.Free && !in.Work.Absent) || (waiting && !in.Drain.Deadline.After(in.Now))
		want := *in.Quantity
		if ends {
			want = 0
		}
		if got := Decide(in); number(got.Desired) != want || got.Reason.Active() {
			t.Fatalf("%s wants %d of %d", got.Reason, number(got.Desired), *in.Quantity)
		}
	}},
	{"it leaves fresh workers where scaling was suspended", func(t *rapid.T, in Input) {
		in.Suspended, in.Quantity = true, new(int)
		if got := Decide(in); number(got.Desired) != in.ActiveQuantity || !got.Reason.Active() {
			t.Fatalf("%s wants %d", got.Reason, number(got.Desired))
		}
	}},
	{"a recheck is ahead, and soon", func(t *rapid.T, in Input) {
		if got := Decide(in); got.Recheck <= 0 || got.Recheck > proofRecheck {
			t.Fatalf("%s rechecked in %v", got.Reason, got.Recheck)
		}
	}},
	{"a recheck is early enough", func(t *rapid.T, in Input) {
		first := Decide(in)
		in.Now = in.Now.Add(drawAhead(t, in, first.Recheck-1))
		if later := Decide(in); number(later.Desired) != number(first.Desired) {
			t.Fatalf("%s wants %d and a recheck in %v; %v later %s wants %d", first.Reason, number(first.Desired),
				first.Recheck, in.Now.Sub(now), later.Reason, number(later.Desired))
		}
	}},
}

func TestDrainLaws(t *testing.T) {
	for _, l := range drainLaws {
		t.Run(l.name, func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				in := drawInput(t)
				in.Drain = &Drain{Free: rapid.Bool().Draw(t, "free"), Deadline: drawTime(t, in, "deadline")}
				l.law(t, in)
			})
		})
	}
}

func TestLaws(t *testing.T) {
	for _, l := range laws {
		t.Run(l.name, func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				in := drawInput(t)
				t.Logf("quantity %d, work %+v, in %+v", number(in.Quantity), in.Work, in)
				l.law(t, in)
			})
		})
	}
}

// TestDrawInput: the laws are worth nothing if what they are about is never drawn.
func TestDrawInput(t *testing.T) {
	seen := map[Reason]int{}
	unknownWhileWorking := 0
	for seed := range 5000 {
		in := rapid.Custom(drawInput).Example(seed)
		seen[Decide(in).Reason]++
		if in.Quantity == nil && working(in) {
			unknownWhileWorking++
		}
	}
	for _, reason := range []Reason{Suspended, WakeRequested, QueueUnknown, JobsWaiting, JobsInFlight, JobDue, FormationUnknown,
		Asleep, Protected, DataDoubtful, QueueAbsent, WorkersElsewhere, JobsUnseen, DueUnknown, JobDueSoon, IdleTimeout, WindowOpen, WindowOpensSoon, WindowsDoubtful, AwaitingHeartbeat, WorkersSilent, ProvenIdle} {
		if seen[reason] < 25 {
			t.Errorf("%s drawn %d times of 5000", reason, seen[reason])
		}
	}
	if unknownWhileWorking < 50 {
		t.Errorf("work with an unknown formation drawn %d times of 5000", unknownWhileWorking)
	}
}

// drawInput draws an input around the proof of zero: up to eight of its parts are replaced by values
// near a boundary.
func drawInput(t *rapid.T) Input {
	in := idle()
	in.IdleTimeout = rapid.SampledFrom([]time.Duration{timeout, time.Second, 1, 0, 15 * time.Minute, 24 * time.Hour}).Draw(t, "idle timeout")
	in.WakeLead = rapid.SampledFrom([]time.Duration{lead, 0, 1, time.Hour}).Draw(t, "wake lead")
	in.ActiveQuantity = rapid.SampledFrom([]int{2, 1, 10}).Draw(t, "active quantity")
	n := in.ActiveQuantity
	*in.Quantity = rapid.SampledFrom([]int{n, n + 1, n - 1, 1, 0}).Draw(t, "quantity")
	in.Work.IdleSince = now.Add(-in.IdleTimeout)
	parts := []func(){
		func() { in.Suspended = true },
		func() { in.SuspendedUntil = drawTime(t, in, "suspended until") },
		func() { in.WakeUntil = drawTime(t, in, "wake until") },
		func() { in.Quantity = nil },
		func() { in.Work.Depth = rapid.Int64Range(0, 2).Draw(t, "depth") },
		func() { in.Work.InFlight = rapid.Int64Range(0, 2).Draw(t, "in flight") },
		func() { in.Work.NextDue = drawTime(t, in, "next due") },
		func() { in.Work.DueKnownUntil = drawTime(t, in, "due known until") },
		func() { in.Work.DueKnownUntil = drawTime(t, in, "due known until") },
		func() { in.Work.IdleSince = drawTime(t, in, "idle since") },
		func() { in.Work.SettledAt = drawTime(t, in, "settled at") },
		func() { in.Work.NextDue = drawTime(t, in, "next due") },
		func() { in.Work.Heard = false },
		func() { in.Work.Accounted = false },
		func() { in.Work.Doubtful = true },
		func() { in.Work.Elsewhere = true },
		func() { in.Work.Unwatched = true },
		func() { in.Work.Absent = true },
		func() { in.OpenUntil = drawTime(t, in, "open until") },
		func() { in.NextOpen = drawTime(t, in, "next open") },
		func() { in.NextOpen = drawTime(t, in, "next open") },
		func() { in.NextOpen = now.Add(in.WakeLead + in.IdleTimeout/2) },
		func() { in.Work.NextDue = now.Add(in.WakeLead + in.IdleTimeout/2) },
		func() { in.Work.DueKnownUntil = now.Add(in.WakeLead + in.IdleTimeout/2) },
		func() { in.WindowsDoubtful = true },
	}
	for range rapid.IntRange(0, 8).Draw(t, "parts") {
		rapid.SampledFrom(parts).Draw(t, "part")()
	}
	if rapid.IntRange(0, 15).Draw(t, "queue unknown") == 15 {
		in.Work = nil
	}
	in.Protected = rapid.IntRange(0, 31).Draw(t, "protected") == 31
	return in
}

// near draws an offset of a few nanoseconds, seldom more.
func near(t *rapid.T) time.Duration {
	if rapid.IntRange(0, 9).Draw(t, "far") == 9 {
		return time.Duration(rapid.Int64Range(-int64(2*time.Hour), int64(2*time.Hour)).Draw(t, "offset"))
	}
	return rapid.SampledFrom([]time.Duration{0, 1, -1}).Draw(t, "offset")
}

// drawTime draws no time, or one near a time that matters to a decision.
func drawTime(t *rapid.T, in Input, label string) time.Time {
	w, l := in.IdleTimeout, in.WakeLead
	at := []time.Duration{0, l, -l, w, -w, l + w, proofRecheck, l + proofRecheck, slowRecheck, l + slowRecheck, l + w + slowRecheck, w - l, l + w, l + w/2}
	if i := rapid.IntRange(-1, len(at)-1).Draw(t, label); i >= 0 {
		return now.Add(at[i] + near(t))
	}
	return time.Time{}
}

// drawAhead draws how much time passes, at most limit: any, or until just about something happens.
func drawAhead(t *rapid.T, in Input, limit time.Duration) time.Duration {
	events := []time.Time{now.Add(limit), now, in.WakeUntil, in.OpenUntil, in.NextOpen.Add(-in.WakeLead), in.NextOpen.Add(-in.WakeLead - in.IdleTimeout)}
	if in.Drain != nil {
		events = append(events, in.Drain.Deadline)
	}
	if w := in.Work; w != nil {
		events = append(events, w.NextDue, w.NextDue.Add(-in.WakeLead), w.NextDue.Add(-in.WakeLead-in.IdleTimeout),
			w.DueKnownUntil.Add(-in.WakeLead-in.IdleTimeout), w.IdleSince.Add(in.IdleTimeout), w.SettledAt)
	}
	passed := rapid.SampledFrom(events).Draw(t, "event").Sub(now) + near(t)
	return min(max(passed, 0), limit)
}
