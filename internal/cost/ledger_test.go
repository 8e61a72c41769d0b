package cost

import (
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"
)

var start = time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)

// at is an observation so many seconds after start.
type at struct {
	seconds int
	Running
}

func seen(seconds, quantity, alwaysOn int, size string) at {
	return at{seconds, Running{Quantity: &quantity, Size: size, AlwaysOn: alwaysOn}}
}

func unseen(seconds, alwaysOn int) at {
	return at{seconds, Running{Size: "standard-1X", AlwaysOn: alwaysOn}}
}

// standard is the price of a standard-1X a second. A standard-2X costs twice that.
const standard = 25.0 / 2592000

func run(l *Ledger, observations []at) Totals {
	for _, o := range observations {
		l.Observe(start.Add(time.Duration(o.seconds)*time.Second), o.Running)
	}
	return l.Totals()
}

func TestLedger(t *testing.T) {
	earlier := Totals{
		Since: start.Add(-time.Hour), At: start, Size: "standard-1X",
		Amounts: Amounts{UsedSeconds: 1000, SavedSeconds: 2000, UsedDollars: 1, SavedDollars: 2, UnpricedSeconds: 30, UnknownSeconds: 4},
	}
	tests := map[string]struct {
		start        Totals
		observations []at
		want         Amounts
		size         string
	}{
		"one observation is no time": {
			observations: []at{seen(0, 2, 2, "standard-1X")},
		},
		"all of them run": {
			observations: []at{seen(0, 2, 2, "standard-1X"), seen(100, 2, 2, "standard-1X")},
			want:         Amounts{UsedSeconds: 200, UsedDollars: 200 * standard}, size: "standard-1X",
		},
		"none runs": {
			observations: []at{seen(0, 0, 2, "standard-1X"), seen(100, 0, 2, "standard-1X")},
			want:         Amounts{SavedSeconds: 200, SavedDollars: 200 * standard}, size: "standard-1X",
		},
		"a change counts from when it is seen": {
			observations: []at{seen(0, 0, 2, "standard-1X"), seen(100, 2, 2, "standard-1X"), seen(110, 0, 2, "standard-1X")},
			want:         Amounts{UsedSeconds: 20, SavedSeconds: 200, UsedDollars: 20 * standard, SavedDollars: 200 * standard}, size: "standard-1X",
		},
		"a surplus is a loss": {
			observations: []at{seen(0, 5, 2, "standard-1X"), seen(100, 5, 2, "standard-1X")},
			want:         Amounts{UsedSeconds: 500, SavedSeconds: -300, UsedDollars: 500 * standard, SavedDollars: -300 * standard}, size: "standard-1X",
		},
		"unknown counts for neither": {
			observations: []at{seen(0, 1, 2, "standard-1X"), unseen(10, 2), unseen(30, 2), seen(100, 1, 2, "standard-1X"), seen(110, 1, 2, "standard-1X")},
			want:         Amounts{UsedSeconds: 20, SavedSeconds: 20, UsedDollars: 20 * standard, SavedDollars: 20 * standard, UnknownSeconds: 90}, size: "standard-1X",
		},
		"never known": {
			observations: []at{unseen(0, 2), unseen(100, 2)},
			want:         Amounts{UnknownSeconds: 100},
		},
		"always-on changes": {
			observations: []at{seen(0, 0, 2, "standard-1X"), seen(100, 0, 3, "standard-1X"), seen(200, 0, 3, "standard-1X")},
			want:         Amounts{SavedSeconds: 500, SavedDollars: 500 * standard}, size: "standard-1X",
		},
		"the size changes": {
			observations: []at{seen(0, 0, 1, "standard-1X"), seen(100, 0, 1, "standard-2X"), seen(200, 0, 1, "standard-2X")},
			want:         Amounts{SavedSeconds: 200, SavedDollars: 300 * standard}, size: SeveralSizes,
		},
		"the size changes back": {
			observations: []at{seen(0, 0, 1, "standard-1X"), seen(100, 0, 1, "standard-2X"), seen(200, 0, 1, "standard-1X"), seen(300, 0, 1, "standard-1X")},
			want:         Amounts{SavedSeconds: 300, SavedDollars: 400 * standard}, size: SeveralSizes,
		},
		"a size of unknown price": {
			observations: []at{seen(0, 0, 1, "huge"), seen(100, 1, 1, "huge"), seen(130, 1, 1, "huge")},
			want:         Amounts{UsedSeconds: 30, SavedSeconds: 100, UnpricedSeconds: 130}, size: "huge",
		},
		"Eco saves seconds and no dollars": {
			observations: []at{seen(0, 0, 1, "Eco"), seen(100, 1, 1, "Eco"), seen(130, 1, 1, "Eco")},
			want:         Amounts{UsedSeconds: 30, SavedSeconds: 100}, size: "Eco",
		},
		"the clock steps back": {
			observations: []at{seen(0, 1, 1, "standard-1X"), seen(100, 1, 1, "standard-1X"), seen(40, 1, 1, "standard-1X"), seen(50, 1, 1, "standard-1X")},
			want:         Amounts{UsedSeconds: 110, UsedDollars: 110 * standard}, size: "standard-1X",
		},
		"the clock stands still": {
			observations: []at{seen(0, 0, 1, "standard-1X"), seen(0, 1, 1, "standard-1X"), seen(10, 1, 1, "standard-1X")},
			want:         Amounts{UsedSeconds: 10, UsedDollars: 10 * standard}, size: "standard-1X",
		},
		"the longest gap": {
			observations: []at{seen(0, 1, 1, "standard-1X"), seen(900, 1, 1, "standard-1X")},
			want:         Amounts{UsedSeconds: 900, UsedDollars: 900 * standard}, size: "standard-1X",
		},
		"too long a gap": {
			observations: []at{seen(0, 1, 1, "standard-1X"), seen(901, 1, 1, "standard-1X"), seen(911, 1, 1, "standard-1X")},
			want:         Amounts{UsedSeconds: 10, UsedDollars: 10 * standard, UnknownSeconds: 901}, size: "standard-1X",
		},
		"after a restart": {
			start:        earlier,
			observations: []at{seen(60, 1, 3, "standard-1X"), seen(70, 1, 3, "standard-1X")},
			want: Amounts{
				UsedSeconds: 1010, SavedSeconds: 2020, UsedDollars: 1 + 10*standard, SavedDollars: 2 + 20*standard,
				UnpricedSeconds: 30, UnknownSeconds: 64,
			},
			size: "standard-1X",
		},
		"after a restart by a clock that is behind": {
			start:        earlier,
			observations: []at{seen(-60, 0, 1, "standard-2X"), seen(-50, 0, 1, "standard-2X")},
			want: Amounts{
				UsedSeconds: 1000, SavedSeconds: 2010, UsedDollars: 1, SavedDollars: 2 + 20*standard,
				UnpricedSeconds: 30, UnknownSeconds: 4,
			},
			size: SeveralSizes,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got := run(NewLedger(test.start, Prices{}.PerSecond), test.observations)
			if !near(got.Amounts, test.want) || got.Size != test.size {
				t.Errorf("%+v at %q\nwant %+v at %q", got.Amounts, got.Size, test.want, test.size)
			}
			last := test.observations[len(test.observations)-1]
			if want := start.Add(time.Duration(last.seconds) * time.Second); !got.At.Equal(want) {
				t.Errorf("up to %s, want %s", got.At, want)
			}
		})
	}
}

// near compares seconds exactly and dollars nearly.
func near(a, b Amounts) bool {
	dollars := math.Abs(a.UsedDollars-b.UsedDollars) + math.Abs(a.SavedDollars-b.SavedDollars)
	a.UsedDollars, a.SavedDollars, b.UsedDollars, b.SavedDollars = 0, 0, 0, 0
	return a == b && dollars < 1e-9
}

// histories are observations in the order of time, never further apart than they hold.
func histories(t *rapid.T, alwaysOn int) []at {
	var all []at
	seconds := 0
	for range rapid.IntRange(1, 20).Draw(t, "observations") {
		seconds += rapid.IntRange(0, 900).Draw(t, "seconds")
		size := rapid.SampledFrom([]string{"standard-1X", "standard-2X", "Eco", "huge"}).Draw(t, "size")
		o := seen(seconds, rapid.IntRange(0, 5).Draw(t, "quantity"), alwaysOn, size)
		if rapid.IntRange(0, 3).Draw(t, "unknown") == 0 {
			o.Quantity = nil
		}
		all = append(all, o)
	}
	return all
}

func TestSplittingAnIntervalChangesNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		all := histories(t, 3)
		want := run(NewLedger(Totals{}, Prices{}.PerSecond), all)
		var split []at
		for i, o := range all {
			split = append(split, o)
			if i+1 < len(all) {
				between := o
				between.seconds = rapid.IntRange(o.seconds, all[i+1].seconds).Draw(t, "between")
				split = append(split, between)
			}
		}
		got := run(NewLedger(Totals{}, Prices{}.PerSecond), split)
		if !near(got.Amounts, want.Amounts) || got.Size != want.Size {
			t.Fatalf("%+v\nunsplit %+v", got, want)
		}
	})
}

func TestUsedAndSavedAreAlwaysOn(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		alwaysOn := rapid.IntRange(1, 5).Draw(t, "always on")
		got := run(NewLedger(Totals{}, Prices{}.PerSecond), histories(t, alwaysOn))
		known := got.At.Sub(got.Since).Seconds() - got.UnknownSeconds
		if got.UsedSeconds+got.SavedSeconds != float64(alwaysOn)*known {
			t.Fatalf("%+v, want %d × %v s", got, alwaysOn, known)
		}
	})
}

func TestRestartsLoseWhatWasNotWritten(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		all := histories(t, 3)
		want := run(NewLedger(Totals{}, Prices{}.PerSecond), all)
		l := NewLedger(Totals{}, Prices{}.PerSecond)
		written, lost := Totals{}, 0.0
		for _, o := range all {
			run(l, []at{o})
			if rapid.Bool().Draw(t, "write") {
				written = l.Totals()
			}
			if !written.At.IsZero() && rapid.IntRange(0, 3).Draw(t, "restart") == 0 {
				lost += l.Totals().At.Sub(written.At).Seconds()
				l = NewLedger(written, Prices{}.PerSecond)
				run(l, []at{o})
			}
		}
		got := l.Totals()
		if !got.Since.Equal(want.Since) || !got.At.Equal(want.At) {
			t.Fatalf("from %s to %s, want from %s to %s", got.Since, got.At, want.Since, want.At)
		}
		if more := got.UnknownSeconds - want.UnknownSeconds; more < 0 || more > lost {
			t.Fatalf("%v s more are unknown, want from 0 to the %v s that were not written", more, lost)
		}
		if got.UsedSeconds > want.UsedSeconds {
			t.Fatalf("used %v s, more than the %v s without a restart", got.UsedSeconds, want.UsedSeconds)
		}
	})
}

func TestWhatIsAdded(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := NewLedger(Totals{}, Prices{}.PerSecond)
		var sum Amounts
		for _, o := range histories(t, 3) {
			added := l.Observe(start.Add(time.Duration(o.seconds)*time.Second), o.Running)
			if added.UsedSeconds < 0 || added.UnknownSeconds < 0 || added.UsedSeconds+added.SavedSeconds < 0 {
				t.Fatalf("added %+v, which makes a total fall", added)
			}
			sum = sum.plus(added)
		}
		if got := l.Totals().Amounts; got != sum {
			t.Fatalf("totals %+v, added %+v", got, sum)
		}
	})
}
