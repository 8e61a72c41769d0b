package schedule

import (
	"slices"
	"strings"
	"testing"
	"time"
	_ "time/tzdata" // the tests must not depend on the machine's

	"pgregory.net/rapid"
)

func TestParse(t *testing.T) {
	cases := []struct{ expression, zone, first string }{
		{"0 8 * * 1-5", "", "2027-01-04T08:00+00:00"},
		{"0 8 * * MON-FRI", "UTC", "2027-01-04T08:00+00:00"},
		{" 0  8\t* * * ", "Asia/Kolkata", "2027-01-02T08:00+05:30"},
		{"*/20 * * * ?", "", "2027-01-02T00:20+00:00"},
		{"0 0 13 * 5", "", "2027-01-08T00:00+00:00"}, // either day, as cron has it
		{"0 0 29 2 *", "", "2028-02-29T00:00+00:00"},
		{"@hourly", "Asia/Kolkata", "2027-01-02T06:00+05:30"},
		{"@daily", "Europe/Berlin", "2027-01-03T00:00+01:00"},
		{"@midnight", "America/New_York", "2027-01-02T00:00-05:00"},
		{"@weekly", "", "2027-01-03T00:00+00:00"},
		{"@monthly", "", "2027-02-01T00:00+00:00"},
		{"@yearly", "", "2028-01-01T00:00+00:00"},
		{"@annually", "Asia/Kolkata", "2028-01-01T00:00+05:30"},
	}
	for _, c := range cases {
		w := parse(t, c.expression, c.zone, time.Hour)
		if got := openings(w, at(t, "2027-01-02T00:00+00:00"), 1)[0]; got != c.first {
			t.Errorf("%q in %q first opens at %s, want %s", c.expression, c.zone, got, c.first)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	const ok = "0 8 * * *"
	cases := []struct {
		name, expression, zone string
		duration               time.Duration
		want                   []string
	}{
		{"nothing", " ", "", 1, []string{`"" is not a cron expression`, "five fields"}},
		{"four fields", "0 8 * *", "", 1, []string{"found 4", "five fields"}},
		{"six fields", "0 0 8 * * *", "", 1, []string{"found 6", "five fields"}},
		{"an hour too many", "0 24 * * *", "", 1, []string{"(24) above maximum (23)"}},
		{"a second Sunday", "0 8 * * 7", "", 1, []string{"(7) above maximum (6)"}},
		{"a word", "0 8 * * someday", "", 1, []string{`"0 8 * * someday"`, "someday:"}},
		{"an unknown name", "@reboot", "", 1, []string{"@reboot", "@daily"}},
		{"an interval", "@every 1h", "", 1, []string{"@every 1h", "use fields"}},
		{"a time zone", "TZ=Europe/Berlin " + ok, "", 1, []string{"time zone in it", "timeZone"}},
		{"a time zone for cron", "CRON_TZ=UTC " + ok, "", 1, []string{"time zone in it", "timeZone"}},
		{"nothing but a time zone", " TZ=UTC", "", 1, []string{"time zone in it", "timeZone"}},
		{"30 February", "0 8 30 2 *", "", 1, []string{`"0 8 30 2 *"`, "ever comes", "month"}},
		{"31 April or June", "0 8 31 4,6 *", "", 1, []string{"ever comes"}},
		{"no minute at all", ", 8 * * *", "", 1, []string{"ever comes"}},
		{"an unknown zone", ok, "Mars/Olympus", 1, []string{`"Mars/Olympus"`, "unknown time zone", "Europe/Berlin"}},
		{"the machine's zone", ok, "Local", 1, []string{`"Local"`, "Europe/Berlin"}},
		{"no duration", ok, "", 0, []string{"0s", "above zero"}},
		{"less than no duration", ok, "", -time.Second, []string{"-1s", "above zero"}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			_, err := Parse(c.expression, c.zone, c.duration)
			if err == nil {
				t.Fatal("accepted")
			}
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q lacks %q", err, want)
				}
			}
		})
	}
}

func TestParseNeverPanics(t *testing.T) {
	field := rapid.StringMatching(`(TZ=|@every|[0-9]{1,3}|\*|\?|,|-|/|L|mon|~){0,4}`)
	rapid.Check(t, func(t *rapid.T) {
		fields := rapid.SliceOfN(field, 0, 6).Draw(t, "fields")
		w, err := Parse(strings.Join(fields, " "), "", time.Hour)
		if err == nil && w.next(leapYear).IsZero() {
			t.Fatal("never opens")
		}
	})
}

// TestClockChanges pins what becomes of times that the clocks skip and repeat.
func TestClockChanges(t *testing.T) {
	cases := []struct {
		name, expression, zone, after string
		want                          []string
	}{
		{"a skipped time opens at the change", "30 2 * * *", "Europe/Berlin", "2027-03-27T12:00+01:00",
			[]string{"2027-03-28T03:00+02:00", "2027-03-29T02:30+02:00"}},
		{"the first skipped minute", "0 2 * * *", "Europe/Berlin", "2027-03-27T12:00+01:00",
			[]string{"2027-03-28T03:00+02:00", "2027-03-29T02:00+02:00"}},
		{"the last skipped minute", "59 2 * * *", "America/New_York", "2027-03-13T12:00-05:00",
			[]string{"2027-03-14T03:00-04:00", "2027-03-15T02:59-04:00"}},
		{"the last minute before", "59 1 * * *", "America/New_York", "2027-03-13T12:00-05:00",
			[]string{"2027-03-14T01:59-05:00", "2027-03-15T01:59-04:00"}},
		{"the first minute after", "0 3 * * *", "America/New_York", "2027-03-13T12:00-05:00",
			[]string{"2027-03-14T03:00-04:00", "2027-03-15T03:00-04:00"}},
		{"several skipped times open once", "*/20 2 * * *", "Europe/Berlin", "2027-03-27T12:00+01:00",
			[]string{"2027-03-28T03:00+02:00", "2027-03-29T02:00+02:00"}},
		{"a skipped time and the change itself open once", "30 * * * *", "Europe/Berlin", "2027-03-28T01:00+01:00",
			[]string{"2027-03-28T01:30+01:00", "2027-03-28T03:00+02:00", "2027-03-28T03:30+02:00"}},
		{"an instant before the change", "30 2 * * *", "Europe/Berlin", "2027-03-28T02:59:59.999999999+02:00",
			[]string{"2027-03-28T03:00+02:00"}},
		{"at the change", "30 2 * * *", "Europe/Berlin", "2027-03-28T03:00+02:00",
			[]string{"2027-03-29T02:30+02:00"}},
		{"every hour in spring", "@hourly", "Europe/Berlin", "2027-03-28T00:30+01:00",
			[]string{"2027-03-28T01:00+01:00", "2027-03-28T03:00+02:00", "2027-03-28T04:00+02:00"}},

		{"a repeated time opens twice", "30 2 * * *", "Europe/Berlin", "2027-10-30T12:00+02:00",
			[]string{"2027-10-31T02:30+02:00", "2027-10-31T02:30+01:00", "2027-11-01T02:30+01:00"}},
		{"a repeated time in New York", "30 1 * * *", "America/New_York", "2027-11-06T12:00-04:00",
			[]string{"2027-11-07T01:30-04:00", "2027-11-07T01:30-05:00", "2027-11-08T01:30-05:00"}},
		{"the first repeated minute", "0 2 * * *", "Europe/Berlin", "2027-10-30T12:00+02:00",
			[]string{"2027-10-31T02:00+02:00", "2027-10-31T02:00+01:00", "2027-11-01T02:00+01:00"}},
		{"the last repeated minute", "59 2 * * *", "Europe/Berlin", "2027-10-30T12:00+02:00",
			[]string{"2027-10-31T02:59+02:00", "2027-10-31T02:59+01:00", "2027-11-01T02:59+01:00"}},
		{"the minutes around the repeated ones", "0,59 1,3 * * *", "Europe/Berlin", "2027-10-31T01:30+02:00",
			[]string{"2027-10-31T01:59+02:00", "2027-10-31T03:00+01:00", "2027-10-31T03:59+01:00"}},
		{"every hour in autumn", "@hourly", "Europe/Berlin", "2027-10-31T01:30+02:00",
			[]string{"2027-10-31T02:00+02:00", "2027-10-31T02:00+01:00", "2027-10-31T03:00+01:00"}},

		{"half an hour is skipped", "15 2 * * *", "Australia/Lord_Howe", "2027-10-02T12:00+10:30",
			[]string{"2027-10-03T02:30+11:00", "2027-10-04T02:15+11:00"}},
		{"the minute after half an hour is skipped", "30 2 * * *", "Australia/Lord_Howe", "2027-10-02T12:00+10:30",
			[]string{"2027-10-03T02:30+11:00", "2027-10-04T02:30+11:00"}},
		{"half an hour is repeated", "45 1 * * *", "Australia/Lord_Howe", "2027-04-03T12:00+11:00",
			[]string{"2027-04-04T01:45+11:00", "2027-04-04T01:45+10:30", "2027-04-05T01:45+10:30"}},
		{"the minute before half an hour is repeated", "29 1 * * *", "Australia/Lord_Howe", "2027-04-03T12:00+11:00",
			[]string{"2027-04-04T01:29+11:00", "2027-04-05T01:29+10:30"}},

		// cron by itself loses these two days, and takes that Sunday for a Saturday.
		{"later on the day when half an hour is skipped", "0 5 * * *", "Australia/Lord_Howe", "2027-10-02T12:00+10:30",
			[]string{"2027-10-03T05:00+11:00", "2027-10-04T05:00+11:00"}},
		{"later on the day when half an hour is repeated", "0 5 * * *", "Australia/Lord_Howe", "2027-04-03T12:00+11:00",
			[]string{"2027-04-04T05:00+10:30", "2027-04-05T05:00+10:30"}},
		{"no Saturday time on a Sunday without midnight", "0 5 * * 6", "America/Santiago", "2027-09-04T12:00-04:00",
			[]string{"2027-09-11T05:00-03:00"}},
		{"midnight is skipped", "@daily", "America/Santiago", "2027-09-04T12:00-04:00",
			[]string{"2027-09-05T01:00-03:00", "2027-09-06T00:00-03:00"}},
		{"the hour before midnight is repeated", "30 23 * * 6", "America/Santiago", "2027-04-03T12:00-03:00",
			[]string{"2027-04-03T23:30-03:00", "2027-04-03T23:30-04:00", "2027-04-10T23:30-04:00"}},
		{"a whole day is skipped", "0 8 * * *", "Pacific/Apia", "2011-12-29T12:00-10:00",
			[]string{"2011-12-31T00:00+14:00", "2011-12-31T08:00+14:00"}},

		{"across many changes", "0 8 29 2 *", "Europe/Berlin", "2028-03-01T00:00+01:00",
			[]string{"2032-02-29T08:00+01:00", "2036-02-29T08:00+01:00"}},
		// Here ZoneBounds tells of a change in the past.
		{"the last day of a leap year", "0 8 * * *", "Europe/Berlin", "2040-12-31T07:00+01:00",
			[]string{"2040-12-31T08:00+01:00", "2041-01-01T08:00+01:00", "2041-01-02T08:00+01:00"}},
		{"from the last day of a leap year on", "30 2 31 3 *", "Europe/Berlin", "2040-12-31T07:00+01:00",
			[]string{"2041-03-31T03:00+02:00", "2042-03-31T02:30+02:00"}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			w := parse(t, c.expression, c.zone, time.Hour)
			if got := openings(w, at(t, c.after), len(c.want)); !slices.Equal(got, c.want) {
				t.Errorf("got  %q\nwant %q", got, c.want)
			}
		})
	}
}

func parse(t testing.TB, expression, zone string, duration time.Duration) Window {
	t.Helper()
	w, err := Parse(expression, zone, duration)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

const layout = "2006-01-02T15:04Z07:00"

func at(t testing.TB, s string) time.Time {
	t.Helper()
	for _, l := range []string{layout, time.RFC3339Nano} {
		if parsed, err := time.Parse(l, s); err == nil {
			return parsed
		}
	}
	t.Fatalf("%q is no time", s)
	return time.Time{}
}

// openings returns the first n openings of a window after a time, by the clocks of its zone.
func openings(w Window, after time.Time, n int) []string {
	var all []string
	for range n {
		after = w.next(after)
		all = append(all, after.In(w.location).Format("2006-01-02T15:04-07:00"))
	}
	return all
}
