package schedule

import (
	"testing"
	"time"
)

func TestAt(t *testing.T) {
	const day = 24 * time.Hour
	none := ""
	work := parse(t, "0 8 * * 1-5", "Europe/Berlin", 10*time.Hour) // 2027-06-07 is a Monday
	lunch := parse(t, "0 12 * * *", "Europe/Berlin", time.Hour)
	evening := parse(t, "0 16 * * 1-5", "UTC", 2*time.Hour) // opens as work closes
	early := parse(t, "30 5 * * *", "UTC", 45*time.Minute)  // closes after work opens
	cases := []struct {
		name              string
		windows           []Window
		now, until, opens string
	}{
		{"no windows", nil, "2027-06-07T12:00Z", none, none},

		{"just before it opens", []Window{work}, "2027-06-07T07:59:59.999999999+02:00", none, "2027-06-07T08:00+02:00"},
		{"as it opens", []Window{work}, "2027-06-07T08:00+02:00", "2027-06-07T18:00+02:00", "2027-06-08T08:00+02:00"},
		{"just before it closes", []Window{work}, "2027-06-07T17:59:59.999999999+02:00", "2027-06-07T18:00+02:00", "2027-06-08T08:00+02:00"},
		{"as it closes", []Window{work}, "2027-06-07T18:00+02:00", none, "2027-06-08T08:00+02:00"},
		{"before the weekend", []Window{work}, "2027-06-11T19:00+02:00", none, "2027-06-14T08:00+02:00"},

		{"one within the other", []Window{lunch, work}, "2027-06-07T12:30+02:00", "2027-06-07T18:00+02:00", "2027-06-08T08:00+02:00"},
		{"the other opens within the one", []Window{lunch, work}, "2027-06-07T11:00+02:00", "2027-06-07T18:00+02:00", "2027-06-08T08:00+02:00"},
		{"the earlier of two is next", []Window{work, lunch}, "2027-06-12T09:00+02:00", none, "2027-06-12T12:00+02:00"},
		{"back to back", []Window{evening, work}, "2027-06-07T09:00+02:00", "2027-06-07T20:00+02:00", "2027-06-08T08:00+02:00"},
		{"a chain of three", []Window{evening, work, early}, "2027-06-07T05:30Z", "2027-06-07T18:00Z", "2027-06-08T05:30Z"},
		{"one after the other, with a gap", []Window{early, evening}, "2027-06-07T05:30Z", "2027-06-07T06:15Z", "2027-06-07T16:00Z"},
		{"twice the same", []Window{work, work}, "2027-06-07T09:00+02:00", "2027-06-07T18:00+02:00", "2027-06-08T08:00+02:00"},

		{"an hour at a time", []Window{parse(t, "0 8-17 * * *", "", time.Hour)}, "2027-06-07T08:30Z", "2027-06-07T18:00Z", "2027-06-08T08:00Z"},
		{"longer than a day", []Window{parse(t, "0 18 * * 5", "", 62*time.Hour)}, "2027-06-11T19:00Z", "2027-06-14T08:00Z", "2027-06-18T18:00Z"},
		{"opened years ago", []Window{parse(t, "0 0 29 2 *", "", 1000*day)}, "2027-06-07T12:00Z", none, "2028-02-29T00:00Z"},
		{"open for years", []Window{parse(t, "0 0 29 2 *", "", 1200*day)}, "2027-06-07T12:00Z", "2027-06-13T00:00Z", "2028-02-29T00:00Z"},
		{"none for eight years", []Window{parse(t, "0 0 29 2 *", "", day)}, "2097-01-01T00:00Z", none, none},
		{"none for eight years, before another", []Window{parse(t, "0 0 29 2 *", "", day), lunch}, "2097-01-01T10:30Z", none, "2097-01-01T11:00Z"},
		{"none for eight years, after another", []Window{lunch, parse(t, "0 0 29 2 *", "", day)}, "2097-01-01T10:30Z", none, "2097-01-01T11:00Z"},
		{"none for eight years, before an open one", []Window{parse(t, "0 0 29 2 *", "", day), lunch}, "2097-01-01T11:30Z", "2097-01-01T12:00Z", "2097-01-02T11:00Z"},

		{"always open", []Window{parse(t, "* * * * *", "", time.Minute)}, "2027-06-07T12:34:56Z", "2027-06-08T13:01Z", none},
		{"always open, later in that hour", []Window{parse(t, "* * * * *", "", time.Minute)}, "2027-06-07T12:59:59Z", "2027-06-08T13:01Z", none},
		{"always open, many times over", []Window{parse(t, "* * * * *", "", day)}, "2027-06-07T12:34Z", "2027-06-08T13:01Z", none},
		{"always open, beyond a day", []Window{parse(t, "@daily", "", 40*day)}, "2027-06-07T12:34Z", "2027-06-09T00:00Z", none},
		{"a chain that ends beyond a day", []Window{parse(t, "@hourly", "", time.Hour), parse(t, "@weekly", "", 2*day)},
			"2027-06-07T12:34Z", "2027-06-08T14:00Z", none},

		{"ten hours across a skipped one", []Window{parse(t, "0 22 * * *", "Europe/Berlin", 10*time.Hour)}, "2027-03-28T08:59+02:00", "2027-03-28T09:00+02:00", "2027-03-28T22:00+02:00"},
		{"ten hours across a repeated one", []Window{parse(t, "0 22 * * *", "Europe/Berlin", 10*time.Hour)}, "2027-10-31T06:59+01:00", "2027-10-31T07:00+01:00", "2027-10-31T22:00+01:00"},
		{"skipped, open from the change", []Window{parse(t, "30 2 * * *", "Europe/Berlin", time.Hour)}, "2027-03-28T03:00+02:00", "2027-03-28T04:00+02:00", "2027-03-29T02:30+02:00"},
		{"repeated, within reach", []Window{parse(t, "30 2 * * *", "Europe/Berlin", 2*time.Hour)}, "2027-10-31T02:30+02:00", "2027-10-31T04:30+01:00", "2027-11-01T02:30+01:00"},
		{"repeated, in between", []Window{parse(t, "30 2 * * *", "Europe/Berlin", time.Minute)}, "2027-10-31T02:40+02:00", none, "2027-10-31T02:30+01:00"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			want := State{OpenUntil: orZero(t, c.until), NextOpen: orZero(t, c.opens)}
			if got := At(at(t, c.now), c.windows); got != want {
				t.Errorf("got  %v\nwant %v", got, want)
			}
		})
	}
}

// orZero is a time, in UTC, or the zero time for no text.
func orZero(t *testing.T, s string) time.Time {
	if s == "" {
		return time.Time{}
	}
	return at(t, s).UTC()
}

func BenchmarkAt(b *testing.B) {
	now := at(b, "2027-06-07T12:34Z")
	cases := map[string][]Window{
		"closed":      {parse(b, "0 8 * * 1-5", "Europe/Berlin", time.Hour)},
		"open":        {parse(b, "0 8 * * 1-5", "Europe/Berlin", 10*time.Hour)},
		"yearly":      {parse(b, "@yearly", "Europe/Berlin", time.Hour)},
		"always":      {parse(b, "* * * * *", "Europe/Berlin", time.Minute)},
		"alwaysTwice": {parse(b, "* * * * *", "Europe/Berlin", 24*time.Hour), parse(b, "* * * * *", "Europe/Berlin", time.Minute)},
	}
	for name, windows := range cases {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				At(now, windows)
			}
		})
	}
}

func BenchmarkParse(b *testing.B) {
	for b.Loop() {
		parse(b, "0 8 * * 1-5", "Europe/Berlin", time.Hour)
	}
}
