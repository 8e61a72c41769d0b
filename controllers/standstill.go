package controllers

import "time"

// standstill is work that waits and does not move: maybe no worker runs, whatever is believed. Its sign is the same
// for every job system: the depth has not fallen since.
type standstill struct {
	since time.Time // zero while nothing waits
	depth int64
}

// after is what is known at now, when so many jobs wait.
func (w standstill) after(now time.Time, depth int64) standstill {
	switch {
	case depth == 0:
		return standstill{}
	case w.since.IsZero() || depth < w.depth:
		return standstill{now, depth}
	}
	return standstill{w.since, depth}
}

// readDue is when the formation, last read at some time, is to be read because of it; zero for never. The first
// read comes after blindPatience. Long jobs may be all that keeps others waiting, so the pauses grow after that.
func (w standstill) readDue(readAt time.Time) time.Time {
	first := w.since.Add(blindPatience)
	switch {
	case w.since.IsZero():
		return time.Time{}
	case readAt.Before(first):
		return first
	}
	return readAt.Add(max(blindPatience, readAt.Sub(w.since)))
}

// overdue reports whether that read has to be made now.
func (w standstill) overdue(now, readAt time.Time) bool {
	return !w.since.IsZero() && !now.Before(w.readDue(readAt))
}
