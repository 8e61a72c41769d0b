package schedule

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/robfig/cron/v3"
)

// Window recurs: it opens at each time of a cron expression, and stays open for a duration. The
// zero Window is of no use: see Parse. A Window never changes, and may be shared.
type Window struct {
	times    cron.Schedule
	location *time.Location
	duration time.Duration
}

// Parse returns the window that opens at each time of a cron expression, as the clocks of a time
// zone show it, and stays open for a duration.
//
// The expression has five fields (minute, hour, day of month, month, day of week from 0, Sunday, to
// 6) or is one of @hourly, @daily, @midnight, @weekly, @monthly, @yearly and @annually. One that
// names no time that ever comes is refused, and so is one with a time zone in it.
//
// The time zone is an IANA name; "" is UTC. The duration is elapsed time, whatever the clocks show,
// and above zero.
func Parse(expression, timeZone string, duration time.Duration) (Window, error) {
	times, err := parseTimes(strings.TrimSpace(expression))
	if err != nil {
		return Window{}, err
	}
	location, err := parseZone(timeZone)
	if err != nil {
		return Window{}, err
	}
	if duration <= 0 {
		return Window{}, fmt.Errorf("the duration %s must be above zero, such as 8h", duration)
	}
	return Window{times, location, duration}, nil
}

// leapYear begins the years in which an expression must name a time: 29 February is one.
var leapYear = time.Date(2000, time.January, 1, 0, 0, 0, 0, time.UTC)

func parseTimes(expression string) (cron.Schedule, error) {
	switch {
	case strings.Contains(expression, "TZ="): // cron.ParseStandard would take it, or panic
		return nil, fmt.Errorf("%q has a time zone in it: give it beside the expression, as timeZone", expression)
	case strings.HasPrefix(expression, "@every"): // it would count from whenever it is asked
		return nil, fmt.Errorf(`%q names no times of day: use fields, such as "*/30 * * * *"`, expression)
	}
	times, err := cron.ParseStandard(expression)
	if err != nil {
		return nil, fmt.Errorf(`%q is not a cron expression: %w; use five fields, such as "0 8 * * 1-5", or @daily`, expression, err)
	}
	if times.Next(leapYear).IsZero() {
		return nil, fmt.Errorf("%q names no time that ever comes: use a day that the month has", expression)
	}
	return times, nil
}

func parseZone(name string) (*time.Location, error) {
	if name == "Local" {
		return nil, errors.New(`"Local" depends on the machine: use a name such as "Europe/Berlin", or UTC`)
	}
	location, err := time.LoadLocation(name)
	if err != nil {
		return nil, fmt.Errorf(`%q is not a time zone: %w; use an IANA name such as "Europe/Berlin", or UTC`, name, err)
	}
	return location, nil
}

// next returns when the window first opens after t, in UTC; zero if not within about five years.
//
// cron only sees clocks that never change, those between two changes of the zone. Across a change
// it would lose the times that the clocks skip, and in some zones all others of that day or the day
// itself. Here a skipped time opens the window as the clocks change; a repeated one opens it twice.
func (w Window) next(t time.Time) time.Time {
	zone := t.In(w.location)
	for {
		offset, change := offsetAt(zone), changeAfter(zone)
		clock := w.nextClock(t.UTC().Add(offset))
		if clock.IsZero() {
			return time.Time{}
		}
		opening := clock.Add(-offset)
		switch {
		case change.IsZero(), opening.Before(change):
			return opening
		case opening.Before(change.Add(offsetAt(change) - offset)):
			return change.UTC()
		}
		// What the new clocks show at the change itself is still to come, hence the nanosecond.
		t, zone = change.Add(-1), change
	}
}

// nextClock returns the first time that the expression names after what clocks show, both as in UTC;
// zero if not within five years.
func (w Window) nextClock(clock time.Time) time.Time {
	// Nothing is named within a minute, yet cron would count every second of it: skip those.
	return w.times.Next(clock.Truncate(time.Minute).Add(59 * time.Second))
}

// offsetAt is what the clocks at t are ahead of UTC.
func offsetAt(t time.Time) time.Duration {
	_, seconds := t.Zone()
	return time.Duration(seconds) * time.Second
}

// changeAfter is when the clocks may next change after t; zero if never.
func changeAfter(t time.Time) time.Time {
	_, change := t.ZoneBounds()
	if !change.IsZero() && !change.After(t) {
		// ZoneBounds cuts years off after 365 days: on the last day of a leap year, that is past.
		return t.AddDate(0, 0, 1)
	}
	return change
}
