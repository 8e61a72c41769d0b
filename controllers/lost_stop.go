package controllers

import "time"

// lostStopReads are the times after a lost stop at which the formation is read again: Heroku may carry out late
// what it did not answer, after a read that showed all dynos.
var lostStopReads = [...]time.Duration{30 * time.Second, 60 * time.Second}

// lostStop is a stop whose answer was lost. While it is open no read vouches for the workers.
type lostStop struct {
	at    time.Time // zero for none
	reads int       // of lostStopReads that were made
}

func (l lostStop) open() bool { return !l.at.IsZero() }

// due is when the formation is to be read because of the stop; zero for never.
func (l lostStop) due() time.Time {
	if !l.open() {
		return time.Time{}
	}
	return l.at.Add(lostStopReads[l.reads])
}

// overdue reports whether that read has to be made now.
func (l lostStop) overdue(now time.Time) bool { return l.open() && !now.Before(l.due()) }

// read is what remains after a read of the formation.
func (l lostStop) read(now time.Time) lostStop {
	for l.overdue(now) {
		if l.reads++; l.reads == len(lostStopReads) {
			return lostStop{}
		}
	}
	return l
}
