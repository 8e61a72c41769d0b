package controllers

import (
	"time"

	v1 "github.com/queuescaler/queuescaler/api/v1"
	"github.com/queuescaler/queuescaler/internal/heroku"
)

// formation is all that the operator keeps of one target: a process type of an app. What is known of
// one target says nothing of another, so memory.leave replaces the whole value.
type formation struct {
	// app and processType are the spec's names that target was resolved from.
	app, processType string
	// target is nil until Heroku has answered, now or to an operator before.
	target *v1.Target
	// byName says that the app is looked for by the spec's name, since there is none of the UUID that the
	// status tells.
	byName bool
	// claimed is the target for which no rival was found.
	claimed targetKey

	// quantity is what Heroku last answered; nil if it never did. It is uncertain after a PATCH whose
	// answer was lost.
	quantity  *int
	uncertain bool
	// remembered is what an operator before told of the quantity, until Heroku answers: a start asks for
	// no fewer dynos.
	remembered *int
	readAt     time.Time
	// lost is a stop whose answer was lost, and standstill is work that waits and does not move: reasons to read
	// the formation.
	lost       lostStop
	standstill standstill
	// nextDrift is when to read the formation again although nothing asks for it.
	nextDrift time.Time
	drift     drift
	// confirmed says that Heroku's answer, or the workers' own heartbeats, vouched for the quantity
	// since the queue became active.
	confirmed bool
	// vouchedUntil is until when Heroku's answer to a PATCH does for another active spell.
	vouchedUntil time.Time
	// size is that of each dyno, as Heroku last answered.
	size string
	// limit is the most that Heroku allowed; 0 if it refused nothing. It is tried again at limitUntil.
	limit      int
	limitUntil time.Time

	// unservedSince is when work was first seen waiting without a fresh heartbeat.
	unservedSince time.Time
	crashed       bool

	// roll is what Heroku's list of dynos says of those that nobody hears.
	roll roll

	// rescue is what came of starting workers for orphans.
	rescue rescue

	// startedAt is when dynos were last started from zero, until their first process is heard, and
	// heardBefore are the processes heard until then.
	startedAt   time.Time
	heardBefore map[string]bool
	// workerStart is how long that took the last time; 0 if it was not seen yet.
	workerStart time.Duration

	// news are what was told of the app, until an answer of Heroku's makes them old.
	news news

	// quieting is what was seen of the drain that goes on.
	quieting quieting
	// strandedSince is when all workers were first seen to take no more jobs, without a drain, while jobs wait.
	strandedSince time.Time
	// drainProblem is why a drain may not begin.
	drainProblem *problem
	// signalRefusal is why Redis refused to tell workers; it is asked again at signalAgainAt.
	signalRefusal string
	signalAgainAt time.Time
}

// know takes in what Heroku answered to a PATCH.
func (f *formation) know(answer heroku.Formation, now time.Time) {
	f.quantity, f.size, f.uncertain, f.readAt = &answer.Quantity, answer.Size, false, now
	f.remembered = nil
	f.confirmed = true
	f.news.formation = false
	if answer.Quantity == 0 {
		f.roll = roll{zeroAt: now}
	}
}

// read takes in what Heroku answered to a read. After a lost stop a read vouches for nothing yet.
func (f *formation) read(answer heroku.Formation, now time.Time) {
	vouched := f.confirmed
	f.know(answer, now)
	f.lost = f.lost.read(now)
	f.confirmed = vouched || !f.lost.open()
}

// doubt says that the quantity may have changed: nothing is stopped until it is read again.
func (f *formation) doubt() { f.uncertain, f.confirmed = true, false }

// before is the quantity as far as it is known, for a change to another one.
func (f *formation) before(wanted int) int {
	switch {
	case f.quantity != nil:
		return *f.quantity
	case f.remembered != nil:
		return *f.remembered
	}
	return wanted
}
