package scaling

import (
	"testing"
	"time"
)

const (
	lead    = 45 * time.Second
	timeout = time.Minute
)

var now = time.Date(2030, time.January, 31, 18, 0, 0, 0, time.UTC)

// idle is an input with the whole proof of zero, and not a nanosecond more.
func idle() Input {
	quantity := 3
	return Input{
		Now:            now,
		ActiveQuantity: 2,
		Quantity:       &quantity,
		Work:           &Work{IdleSince: now.Add(-timeout), SettledAt: now, Heard: true, Accounted: true},
		IdleTimeout:    timeout,
		WakeLead:       lead,
	}
}

// unknown is a Desired that is nil.
const unknown = -1

func TestDecide(t *testing.T) {
	in := func(d time.Duration) time.Time { return now.Add(d) }
	cases := []struct {
		name    string
		change  func(*Input)
		reason  Reason
		desired int
		zeroIn  time.Duration // 0 where no idle timeout runs
		recheck time.Duration
	}{
		{"suspended, without an end", func(i *Input) { i.Suspended = true }, Suspended, unknown, 0, slowRecheck},
		{"suspended, for a while", func(i *Input) { i.Suspended, i.SuspendedUntil = true, in(time.Minute) }, Suspended, unknown, 0, time.Minute},
		{"suspended, for 1 ns more", func(i *Input) { i.Suspended, i.SuspendedUntil = true, in(1) }, Suspended, unknown, 0, 1},
		{"suspended, its end just reached", func(i *Input) { i.Suspended, i.SuspendedUntil = true, now }, Suspended, unknown, 0, proofRecheck},
		{"suspended, for long", func(i *Input) { i.Suspended, i.SuspendedUntil = true, in(slowRecheck+1) }, Suspended, unknown, 0, slowRecheck},
		{"suspended stands above a requested wake and work", func(i *Input) {
			i.Suspended, i.WakeUntil, i.Work.Depth = true, in(time.Minute), 1
		}, Suspended, unknown, 0, slowRecheck},

		{"wake requested for 1 ns more", func(i *Input) { i.WakeUntil = in(1) }, WakeRequested, 3, 0, 1},
		{"wake requested until now", func(i *Input) { i.WakeUntil = now }, ProvenIdle, 0, 0, slowRecheck},
		{"wake requested while asleep", func(i *Input) { i.WakeUntil, *i.Quantity = in(time.Hour), 0 }, WakeRequested, 2, 0, slowRecheck},
		{"wake requested, queue unknown", func(i *Input) { i.WakeUntil, i.Work, *i.Quantity = in(time.Minute), nil, 1 }, WakeRequested, 2, 0, time.Minute},
		{"wake requested, formation unknown", func(i *Input) { i.WakeUntil, i.Quantity = in(time.Minute), nil }, WakeRequested, 2, 0, time.Minute},

		{"a window is open for 1 ns more", func(i *Input) { i.OpenUntil = in(1) }, WindowOpen, 3, 0, 1},
		{"a window has just closed", func(i *Input) { i.OpenUntil = now }, ProvenIdle, 0, 0, slowRecheck},
		{"a window is open, and the next one far", func(i *Input) { i.OpenUntil, i.NextOpen = in(time.Minute), in(time.Hour) }, WindowOpen, 3, 0, time.Minute},
		{"a window's lead begins now", func(i *Input) { i.NextOpen, *i.Quantity = in(lead), 0 }, WindowOpen, 2, 0, lead},
		{"a window is open, queue and formation unknown", func(i *Input) { i.OpenUntil, i.Work, i.Quantity = in(time.Minute), nil, nil }, WindowOpen, 2, 0, time.Minute},
		{"a window's lead begins in 1 ns, queue unknown", func(i *Input) { i.NextOpen, i.Work = in(lead+1), nil }, QueueUnknown, unknown, 0, 1},
		{"asleep, a window's lead begins in 1 ns", func(i *Input) { i.NextOpen, *i.Quantity = in(lead+1), 0 }, Asleep, 0, 0, 1},
		{"a window's lead begins in an idle timeout", func(i *Input) { i.NextOpen = in(lead + timeout) }, WindowOpensSoon, 3, 0, timeout},
		{"a window's lead begins 1 ns after an idle timeout", func(i *Input) { i.NextOpen = in(lead + timeout + 1) }, ProvenIdle, 0, 0, 1},
		{"protected", func(i *Input) { i.Protected = true }, Protected, 3, 0, slowRecheck},
		{"protected, asleep", func(i *Input) { i.Protected, *i.Quantity = true, 0 }, Asleep, 0, 0, slowRecheck},
		{"windows in doubt", func(i *Input) { i.WindowsDoubtful = true }, WindowsDoubtful, 3, 0, slowRecheck},
		{"windows in doubt, asleep", func(i *Input) { i.WindowsDoubtful, *i.Quantity = true, 0 }, Asleep, 0, 0, slowRecheck},
		{"suspended stands above windows", func(i *Input) { i.Suspended, i.OpenUntil = true, in(time.Minute) }, Suspended, unknown, 0, slowRecheck},

		{"draining", func(i *Input) { i.Drain = &Drain{} }, Draining, 3, 0, proofRecheck},
		{"draining, the deadline in 1 ns", func(i *Input) { i.Drain = &Drain{Deadline: in(1)} }, Draining, 3, 0, 1},
		{"draining, free", func(i *Input) { i.Drain = &Drain{Free: true, Deadline: in(time.Minute)} }, Drained, 0, 0, proofRecheck},
		{"draining, free, jobs wait", func(i *Input) { i.Drain, i.Work.Depth = &Drain{Free: true, Deadline: in(time.Minute)}, 1 }, Drained, 0, 0, proofRecheck},
		{"draining, jobs wait for one that runs", func(i *Input) { i.Drain, i.Work.Depth, i.Work.InFlight = &Drain{Deadline: in(time.Minute)}, 1, 1 }, Draining, 3, 0, proofRecheck},
		{"draining, jobs have waited for long", func(i *Input) { i.Drain, i.Work.Depth, i.Work.InFlight = &Drain{Deadline: now}, 1, 1 }, DrainTimedOut, 0, 0, proofRecheck},
		{"draining, one runs for long and none waits", func(i *Input) { i.Drain, i.Work.InFlight = &Drain{Deadline: in(-time.Hour)}, 1 }, Draining, 3, 0, proofRecheck},
		{"draining for long, a job is due", func(i *Input) { i.Drain, i.Work.NextDue = &Drain{Deadline: now}, now }, DrainTimedOut, 0, 0, proofRecheck},
		{"draining for long, a job is due in 1 ns", func(i *Input) { i.Drain, i.Work.NextDue = &Drain{Deadline: now}, in(1) }, Draining, 3, 0, 1},
		{"draining, free, the queue is not there", func(i *Input) { i.Drain, i.Work.Absent = &Drain{Free: true, Deadline: in(time.Minute)}, true }, Draining, 3, 0, proofRecheck},
		{"draining, suspended", func(i *Input) { i.Drain, i.Suspended = &Drain{Free: true}, true }, Drained, 0, 0, proofRecheck},
		{"drained, suspended", func(i *Input) { i.Drain, i.Suspended, *i.Quantity = &Drain{}, true, 0 }, DrainAborted, 2, 0, proofRecheck},
		{"draining, queue unknown", func(i *Input) { i.Drain, i.Work = &Drain{Free: true}, nil }, QueueUnknown, unknown, 0, proofRecheck},
		{"draining, formation unknown", func(i *Input) { i.Drain, i.Quantity = &Drain{Free: true}, nil }, FormationUnknown, unknown, 0, proofRecheck},

		{"queue unknown", func(i *Input) { i.Work = nil }, QueueUnknown, unknown, 0, slowRecheck},
		{"queue unknown, asleep", func(i *Input) { i.Work, *i.Quantity = nil, 0 }, QueueUnknown, unknown, 0, slowRecheck},
		{"queue and formation unknown", func(i *Input) { i.Work, i.Quantity = nil, nil }, QueueUnknown, unknown, 0, slowRecheck},

		{"one job waits, asleep", func(i *Input) { i.Work.Depth, *i.Quantity = 1, 0 }, JobsWaiting, 2, 0, slowRecheck},
		{"one job waits, one dyno too few", func(i *Input) { i.Work.Depth, *i.Quantity = 1, 1 }, JobsWaiting, 2, 0, slowRecheck},
		{"one job waits, dynos just enough", func(i *Input) { i.Work.Depth, *i.Quantity = 1, 2 }, JobsWaiting, 2, 0, slowRecheck},
		{"one job waits, a surplus runs", func(i *Input) { i.Work.Depth = 1 }, JobsWaiting, 3, 0, slowRecheck},
		{"one job waits, formation unknown", func(i *Input) { i.Work.Depth, i.Quantity = 1, nil }, JobsWaiting, 2, 0, slowRecheck},
		{"one job waits, doubtful", func(i *Input) { i.Work.Depth, i.Work.Doubtful, *i.Quantity = 1, true, 0 }, JobsWaiting, 2, 0, slowRecheck},
		{"one job in flight, a surplus runs", func(i *Input) { i.Work.InFlight = 1 }, JobsInFlight, 3, 0, slowRecheck},
		{"one job in flight, one dyno too few", func(i *Input) { i.Work.InFlight, *i.Quantity = 1, 1 }, JobsInFlight, 2, 0, slowRecheck},
		{"waiting is named before in flight", func(i *Input) { i.Work.Depth, i.Work.InFlight = 1, 1 }, JobsWaiting, 3, 0, slowRecheck},
		{"a job is overdue", func(i *Input) { i.Work.NextDue, *i.Quantity = in(-time.Hour), 0 }, JobDue, 2, 0, slowRecheck},
		{"a job's lead begins now", func(i *Input) { i.Work.NextDue, *i.Quantity = in(lead), 0 }, JobDue, 2, 0, slowRecheck},

		{"formation unknown", func(i *Input) { i.Quantity = nil }, FormationUnknown, unknown, 0, slowRecheck},
		{"formation unknown, a job's lead begins in 1 ns", func(i *Input) { i.Quantity, i.Work.NextDue = nil, in(lead+1) }, FormationUnknown, unknown, 0, 1},

		{"asleep", func(i *Input) { *i.Quantity = 0 }, Asleep, 0, 0, slowRecheck},
		{"asleep, the queue is not there", func(i *Input) { *i.Quantity, i.Work.Absent = 0, true }, Asleep, 0, 0, slowRecheck},
		{"asleep, in doubt", func(i *Input) { *i.Quantity, i.Work.Doubtful = 0, true }, Asleep, 0, 0, slowRecheck},
		{"asleep, not idle for long", func(i *Input) { *i.Quantity, i.Work.IdleSince = 0, now }, Asleep, 0, 0, slowRecheck},
		{"asleep, a job's lead begins in 1 ns", func(i *Input) { *i.Quantity, i.Work.NextDue = 0, in(lead+1) }, Asleep, 0, 0, 1},
		{"asleep, the schedule known for 1 ns beyond the lead", func(i *Input) {
			*i.Quantity, i.Work.NextDue, i.Work.DueKnownUntil = 0, in(time.Hour), in(lead+1)
		}, Asleep, 0, 0, 1},
		{"asleep, the schedule not known", func(i *Input) { *i.Quantity, i.Work.DueKnownUntil = 0, in(lead) }, Asleep, 0, 0, proofRecheck},

		{"in doubt", func(i *Input) { i.Work.Doubtful = true }, DataDoubtful, 3, 0, slowRecheck},
		{"the queue is not there", func(i *Input) { i.Work.Absent = true }, QueueAbsent, 3, 0, slowRecheck},
		{"one queue is not there, a job waits in another", func(i *Input) { i.Work.Absent, i.Work.Depth, *i.Quantity = true, 1, 0 }, JobsWaiting, 2, 0, slowRecheck},
		{"the queue is not there, a job's lead begins in 1 ns", func(i *Input) { i.Work.Absent, i.Work.NextDue = true, in(lead+1) }, QueueAbsent, 3, 0, 1},
		{"workers elsewhere", func(i *Input) { i.Work.Elsewhere = true }, WorkersElsewhere, 3, 0, slowRecheck},
		{"jobs may run unseen", func(i *Input) { i.Work.Unwatched = true }, JobsUnseen, 3, 0, slowRecheck},
		{"asleep, workers elsewhere", func(i *Input) { *i.Quantity, i.Work.Elsewhere = 0, true }, Asleep, 0, 0, slowRecheck},
		{"in doubt, a job's lead begins in 1 ns", func(i *Input) { i.Work.Doubtful, i.Work.NextDue = true, in(lead+1) }, DataDoubtful, 3, 0, 1},

		{"a job's lead begins in 1 ns", func(i *Input) { i.Work.NextDue = in(lead + 1) }, JobDueSoon, 3, 0, 1},
		{"a job's lead begins in an idle timeout", func(i *Input) { i.Work.NextDue = in(lead + timeout) }, JobDueSoon, 3, 0, timeout},
		{"a job's lead begins 1 ns after an idle timeout", func(i *Input) { i.Work.NextDue = in(lead + timeout + 1) }, ProvenIdle, 0, 0, 1},
		{"a job due soon, the schedule known for less", func(i *Input) {
			i.Work.NextDue, i.Work.DueKnownUntil = in(lead+timeout), in(lead+1)
		}, JobDueSoon, 3, 0, 1},

		{"the schedule known for an idle timeout", func(i *Input) { i.Work.DueKnownUntil = in(lead + timeout) }, DueUnknown, 3, 0, proofRecheck},
		{"the schedule known for 1 ns longer", func(i *Input) { i.Work.DueKnownUntil = in(lead + timeout + 1) }, ProvenIdle, 0, 0, 1},
		{"the schedule known until a while ago", func(i *Input) { i.Work.DueKnownUntil = in(-time.Hour) }, DueUnknown, 3, 0, proofRecheck},
		{"the schedule unknown, a short timeout, a job's lead begins within the recheck", func(i *Input) {
			i.IdleTimeout, i.Work.DueKnownUntil, i.Work.NextDue = 1, in(lead), in(lead+2)
		}, DueUnknown, 3, 0, 2},

		{"idle since not known", func(i *Input) { i.Work.IdleSince = time.Time{} }, IdleTimeout, 3, 0, proofRecheck},
		{"the timeout ends in 1 ns", func(i *Input) { i.Work.IdleSince = in(1 - timeout) }, IdleTimeout, 3, 1, 1},
		{"the timeout ends now", func(i *Input) { i.Work.IdleSince = in(-timeout) }, ProvenIdle, 0, 0, slowRecheck},
		{"the timeout ended 1 ns ago", func(i *Input) { i.Work.IdleSince = in(-1 - timeout) }, ProvenIdle, 0, 0, slowRecheck},
		{"idle since now", func(i *Input) { i.Work.IdleSince = now }, IdleTimeout, 3, timeout, timeout},
		{"idle since a moment after now", func(i *Input) { i.Work.IdleSince = in(time.Second) }, IdleTimeout, 3, timeout + time.Second, timeout + time.Second},
		{"a long timeout", func(i *Input) { i.IdleTimeout, i.Work.IdleSince = time.Hour, now }, IdleTimeout, 3, time.Hour, slowRecheck},
		{"settled in 1 ns", func(i *Input) { i.Work.SettledAt = in(1) }, IdleTimeout, 3, 1, 1},
		{"settled 1 ns ago", func(i *Input) { i.Work.SettledAt = in(-1) }, ProvenIdle, 0, 0, slowRecheck},
		{"nothing to settle", func(i *Input) { i.Work.SettledAt = time.Time{} }, ProvenIdle, 0, 0, slowRecheck},
		{"settled after a short timeout, a job's lead begins before", func(i *Input) {
			i.IdleTimeout, i.Work.SettledAt, i.Work.NextDue = 1, in(time.Minute), in(lead+2)
		}, IdleTimeout, 3, time.Minute, 2},

		{"not heard", func(i *Input) { i.Work.Heard = false }, AwaitingHeartbeat, 3, 0, proofRecheck},
		{"a dyno is not accounted for", func(i *Input) { i.Work.Accounted = false }, WorkersSilent, 3, 0, slowRecheck},
		{"a dyno is neither heard nor accounted for", func(i *Input) { i.Work.Heard, i.Work.Accounted = false, false }, AwaitingHeartbeat, 3, 0, proofRecheck},
		{"a dyno is not accounted for, asleep", func(i *Input) { i.Work.Accounted, *i.Quantity = false, 0 }, Asleep, 0, 0, slowRecheck},
		{"not heard, and the timeout still runs", func(i *Input) { i.Work.Heard, i.Work.IdleSince = false, in(1-timeout) }, IdleTimeout, 3, 1, 1},

		{"the whole proof", func(*Input) {}, ProvenIdle, 0, 0, slowRecheck},
		{"the whole proof, one dyno", func(i *Input) { *i.Quantity = 1 }, ProvenIdle, 0, 0, slowRecheck},
		{"the whole proof, no timeout", func(i *Input) { i.IdleTimeout, i.Work.IdleSince = 0, now }, ProvenIdle, 0, 0, slowRecheck},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			input := idle()
			c.change(&input)
			got := Decide(input)
			if got.Reason != c.reason {
				t.Errorf("reason %s, want %s", got.Reason, c.reason)
			}
			if desired := number(got.Desired); desired != c.desired {
				t.Errorf("desired %d, want %d", desired, c.desired)
			}
			var zeroIn time.Duration
			if !got.ZeroAt.IsZero() {
				zeroIn = got.ZeroAt.Sub(now)
			}
			if zeroIn != c.zeroIn {
				t.Errorf("zero in %v, want %v", zeroIn, c.zeroIn)
			}
			if got.Recheck != c.recheck {
				t.Errorf("recheck %v, want %v", got.Recheck, c.recheck)
			}
		})
	}
}

func number(p *int) int {
	if p == nil {
		return unknown
	}
	return *p
}

// TestDecideSharesNothing: whoever changes a decision does not change what it was made from.
func TestDecideSharesNothing(t *testing.T) {
	for name, change := range map[string]func(*Input){
		"hold": func(i *Input) { i.Work.Heard = false },
		"wake": func(i *Input) { i.Work.Depth = 1 },
	} {
		t.Run(name, func(t *testing.T) {
			input := idle()
			change(&input)
			*Decide(input).Desired = 9
			if *input.Quantity != 3 {
				t.Errorf("the input's quantity became %d", *input.Quantity)
			}
		})
	}
}

func TestActive(t *testing.T) {
	active := map[Reason]bool{DrainAborted: true, WindowOpen: true, WakeRequested: true, JobsWaiting: true, JobsInFlight: true, JobDue: true}
	for _, reason := range []Reason{Drained, DrainTimedOut, Draining, DrainAborted, WindowOpen, WindowOpensSoon, WindowsDoubtful, Protected,
		Suspended, WakeRequested, QueueUnknown, JobsWaiting, JobsInFlight, JobDue, FormationUnknown, Asleep, DataDoubtful, QueueAbsent, WorkersElsewhere, DueUnknown, JobDueSoon, IdleTimeout, AwaitingHeartbeat, ProvenIdle, ""} {
		if got := reason.Active(); got != active[reason] {
			t.Errorf("%q is active: %v", reason, got)
		}
	}
}
