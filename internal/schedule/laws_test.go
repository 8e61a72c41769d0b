package schedule

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// simple is a window of simple fields, in a form that needs no parser to be understood.
type simple struct {
	minutes, hours, weekdays []int // each nil for any
	zone                     string
	duration                 time.Duration
}

func (s simple) String() string {
	return fmt.Sprintf("%s %s * * %s", field(s.minutes), field(s.hours), field(s.weekdays))
}

func field(values []int) string {
	if values == nil {
		return "*"
	}
	return strings.ReplaceAll(strings.Trim(fmt.Sprint(values), "[]"), " ", ",")
}

// names says whether the expression names what the clocks show.
func (s simple) names(clock time.Time) bool {
	return has(s.minutes, clock.Minute()) && has(s.hours, clock.Hour()) && has(s.weekdays, int(clock.Weekday()))
}

func has(values []int, value int) bool {
	for _, v := range values {
		if v == value {
			return true
		}
	}
	return values == nil
}

// minutes is what the oracle knows of each minute from a time on.
type minutes struct {
	from         time.Time
	open, opened []bool
}

// watch looks at the clocks each minute, and at all that they skipped since.
func watch(windows []simple, from, to time.Time) minutes {
	n := int(to.Sub(from) / time.Minute)
	m := minutes{from, make([]bool, n), make([]bool, n)}
	for _, s := range windows {
		location, err := time.LoadLocation(s.zone)
		if err != nil {
			panic(err)
		}
		before := clockAt(from.Add(-time.Minute), location)
		for i := range n {
			clock := clockAt(from.Add(time.Duration(i)*time.Minute), location)
			opens := s.names(clock)
			for skipped := before.Add(time.Minute); skipped.Before(clock); skipped = skipped.Add(time.Minute) {
				opens = opens || s.names(skipped)
			}
			if opens {
				m.opened[i] = true
				for j := i; j < min(n, i+int(s.duration/time.Minute)); j++ {
					m.open[j] = true
				}
			}
			before = clock
		}
	}
	return m
}

// clockAt is what the clocks of a place show, as if they were those of UTC.
func clockAt(t time.Time, location *time.Location) time.Time {
	t = t.In(location)
	return time.Date(t.Year(), t.Month(), t.Day(), t.Hour(), t.Minute(), 0, 0, time.UTC)
}

// state is At's answer, exact for as far as the oracle sees. It says whether it sees the end.
func (m minutes) state(now time.Time) (state State, sees bool) {
	first := int(now.Sub(m.from) / time.Minute)
	i := first
	for i < len(m.open) && m.open[i] {
		i++
	}
	if i > first {
		state.OpenUntil = m.time(i)
	}
	sees = i < len(m.open)
	for i = max(i, first+1); i < len(m.opened); i++ {
		if m.opened[i] {
			state.NextOpen = m.time(i)
			break
		}
	}
	return state, sees
}

func (m minutes) time(i int) time.Time { return m.from.Add(time.Duration(i) * time.Minute) }

const (
	longest = 30 * time.Hour // duration
	sight   = 60 * time.Hour // how far ahead the oracle looks
)

// changes are days on which clocks change somewhere, and others.
var changes = []time.Time{
	time.Date(2027, time.March, 14, 0, 0, 0, 0, time.UTC),
	time.Date(2027, time.March, 28, 0, 0, 0, 0, time.UTC),
	time.Date(2027, time.April, 4, 0, 0, 0, 0, time.UTC),
	time.Date(2027, time.September, 5, 0, 0, 0, 0, time.UTC),
	time.Date(2027, time.October, 3, 0, 0, 0, 0, time.UTC),
	time.Date(2027, time.October, 31, 0, 0, 0, 0, time.UTC),
	time.Date(2027, time.November, 7, 0, 0, 0, 0, time.UTC),
	time.Date(2040, time.December, 31, 0, 0, 0, 0, time.UTC),
	time.Date(2011, time.December, 30, 0, 0, 0, 0, time.UTC),
}

func drawSimple(t *rapid.T) simple {
	some := func(most int, label string) []int {
		if rapid.Bool().Draw(t, "any "+label) {
			return nil
		}
		return rapid.SliceOfNDistinct(rapid.IntRange(0, most), 1, 3, rapid.ID).Draw(t, label)
	}
	return simple{
		minutes:  some(59, "minute"),
		hours:    some(23, "hour"),
		weekdays: some(6, "weekday"),
		zone: rapid.SampledFrom([]string{"", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe",
			"America/Santiago", "Asia/Kolkata", "Pacific/Apia"}).Draw(t, "zone"),
		duration: time.Duration(rapid.IntRange(1, int(longest/time.Minute)).Draw(t, "duration")) * time.Minute,
	}
}

// TestAtAgreesWithTheClocks compares At with an oracle that looks at the clocks each minute.
func TestAtAgreesWithTheClocks(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		drawn := rapid.SliceOfN(rapid.Custom(drawSimple), 0, 3).Draw(t, "windows")
		day := rapid.SampledFrom(changes).Draw(t, "day")
		now := day.Add(time.Duration(rapid.Int64Range(-int64(36*time.Hour), int64(36*time.Hour)).Draw(t, "offset")))
		if rapid.Bool().Draw(t, "on the minute") {
			now = now.Truncate(time.Minute)
		}
		var windows []Window
		for _, s := range drawn {
			w, err := Parse(s.String(), s.zone, s.duration)
			if err != nil {
				t.Fatal(err)
			}
			windows = append(windows, w)
		}
		start := now.Truncate(time.Minute)
		oracle := watch(drawn, start.Add(-longest), start.Add(sight))
		want, sees := oracle.state(now)
		compare(t, now, At(now, windows), want, sees)
	})
}

func compare(t *rapid.T, now time.Time, got, want State, sees bool) {
	end := now.Truncate(time.Minute).Add(sight)
	merged := now.Truncate(time.Hour).Add(lookahead)
	switch {
	case got.OpenUntil.IsZero() != want.OpenUntil.IsZero(), got.OpenUntil.After(want.OpenUntil) && sees:
		t.Fatalf("open until %s, want %s", got.OpenUntil, want.OpenUntil)
	case got.OpenUntil.Before(want.OpenUntil):
		if !got.OpenUntil.After(merged) || !got.NextOpen.IsZero() {
			t.Fatalf("open until %s, next at %s: want %s", got.OpenUntil, got.NextOpen, want.OpenUntil)
		}
	case want.NextOpen.IsZero():
		if !got.NextOpen.IsZero() && got.NextOpen.Before(end) {
			t.Fatalf("next opens at %s, want none before %s", got.NextOpen, end)
		}
	case !got.NextOpen.Equal(want.NextOpen):
		// Open to the end of what is merged: what comes next need not be known.
		if !got.NextOpen.IsZero() || !got.OpenUntil.After(merged) {
			t.Fatalf("next opens at %s, want %s", got.NextOpen, want.NextOpen)
		}
	}
}
