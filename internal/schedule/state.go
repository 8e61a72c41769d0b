package schedule

import "time"

// lookahead is how far ahead of the last full hour windows that follow each other are merged: for a
// day at least.
const lookahead = 25 * time.Hour

// State says whether a window is open, and what comes next. Times are in UTC.
type State struct {
	// OpenUntil is until when windows are open without a break: one may open as another closes. Zero
	// if none is open. More than a day ahead it may fall short of the break: look again then.
	OpenUntil time.Time
	// NextOpen is when the next window opens: after now, and after OpenUntil. Zero if none opens
	// within about five years, or if OpenUntil may fall short.
	NextOpen time.Time
}

// At returns the state of all windows taken together at a time. A window is open from the very
// instant at which it opens to just before the one at which it closes.
func At(now time.Time, windows []Window) State {
	// From the full hour, for an OpenUntil near this horizon not to move with each call.
	horizon := now.Truncate(time.Hour).Add(lookahead)
	until, further := now, extend(now, windows)
	for further.After(until) {
		if until.After(horizon) {
			return State{OpenUntil: until}
		}
		until, further = further, extend(further, windows)
	}
	state := State{NextOpen: nextOpen(until, windows)}
	if until.After(now) {
		state.OpenUntil = until
	}
	return state
}

// extend returns t, or a later time until which windows are open without a break from t on. It
// returns t only if none is open at t.
func extend(t time.Time, windows []Window) time.Time {
	for _, w := range windows {
		opening := w.next(t.Add(-w.duration))
		if !opening.IsZero() && !opening.After(t) {
			t = opening.Add(w.duration)
		}
	}
	return t
}

// nextOpen returns when the first of the windows opens after t; zero if none does.
func nextOpen(t time.Time, windows []Window) time.Time {
	var first time.Time
	for _, w := range windows {
		opening := w.next(t)
		if first.IsZero() || (!opening.IsZero() && opening.Before(first)) {
			first = opening
		}
	}
	return first
}
