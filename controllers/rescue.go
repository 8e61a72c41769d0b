package controllers

import "time"

const (
	// rescueStarts is how many starts of workers may leave the same orphans before these are given up.
	rescueStarts = 3
	// rescuePatience is how long workers have to recover orphans: their boot, and some periods of the
	// recoverers of BullMQ (30 s), Asynq (60 s) and the like.
	rescuePatience = 5 * time.Minute
)

// rescue is what came of running workers for one set of orphans.
type rescue struct {
	mark   uint64 // which orphans; 0 for none
	failed int    // starts whose workers had their time and left them
	// since is when the present workers were first seen with them; zero while none run, or are known of.
	since time.Time
	// over says that the present workers have had their time.
	over bool
}

// hopeful says whether orphans are work: the workers that run, or those of a start, may recover them.
func (r rescue) hopeful() bool { return !r.over && r.failed < rescueStarts }

// givenUp says whether no start will recover them.
func (r rescue) givenUp() bool { return r.failed >= rescueStarts }

// after is what is known at now, when the orphans of the mark are there, and workers run or do not.
func (r rescue) after(now time.Time, mark uint64, running bool, patience time.Duration) rescue {
	if mark != r.mark {
		r = rescue{mark: mark}
	}
	switch {
	case mark == 0:
	case !running:
		r.since, r.over = time.Time{}, false
	case r.since.IsZero():
		r.since = now
	case !r.over && now.Sub(r.since) >= patience:
		r.over = true
		r.failed++
	}
	return r
}

// unseen is what is known after a time in which it was not seen what the workers do.
func (r rescue) unseen() rescue {
	if !r.over {
		r.since = time.Time{}
	}
	return r
}

// noteRescue follows what workers do about orphans. The patience is at least the idle timeout, since
// what looks like an orphan may be a job whose worker is too busy to renew its lock.
func (s *scope) noteRescue() {
	m := s.memory
	if s.queueProblem != nil || !s.snapshot.Known() || m.quantity == nil {
		m.rescue = m.rescue.unseen()
		return
	}
	m.rescue = m.rescue.after(s.now, s.snapshot.OrphanMark, *m.quantity > 0, max(rescuePatience, s.idleTimeout()))
}
