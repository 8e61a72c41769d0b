package queue

import (
	"slices"
	"strings"
	"time"
)

// Silent is a worker process that was not heard for so long that Redis has lost what it said. It may be
// dead. It may as well run a job that does not let it speak, or be cut off from Redis.
type Silent struct {
	// Identity, Dyno and Tag are those of the Process; the tag is empty if it was never heard.
	Identity, Dyno, Tag string
	// FirstHeard and LastHeard are the operator's times of its first and last heartbeat, or later ones:
	// neither heartbeat came after its time.
	FirstHeard, LastHeard time.Time
}

// mostGone bounds how many silent processes are remembered that are not members any more. The dynos of
// an app are 255 at most.
const mostGone = 255

// attendance remembers, from one look to the next, which processes were heard. A process is
//
//	heard   while it has a hash
//	silent  when the hash has expired: after a SIGKILL, or while it lives on unheard
//	gone    when it was no member while its hash could not have expired: a clean stop removes it
//
// A silent process stays silent when it ceases to be a member, since whatever Sidekiq boots next
// removes all members without a hash, dead or not.
type attendance struct {
	signs map[string]*sign
	// others are members of the process type that serve other queues.
	others map[string]bool
}

// sign is what is known of one process.
type sign struct {
	Silent
	// least is the earliest that the last heartbeat can have come, and seen when the last look began in
	// which the process was heard.
	least, seen    time.Time
	member, silent bool
	// replaced says that a later process has its dyno and its process id, so that it is dead.
	replaced bool
}

// after returns the silent processes after a look, which began at start and ended at end: of the members
// of the processes set, heard are those with a hash.
func (a *attendance) after(start, end time.Time, processType string, members []string, heard []*processLook) []Silent {
	for _, known := range a.signs {
		known.member = false
	}
	present := make(map[string]bool, len(members))
	for _, process := range heard {
		present[process.Identity] = true
		a.hear(process, start, end)
	}
	for _, identity := range members {
		if !present[identity] {
			present[identity] = true
			a.miss(identity, dynoOf(identity, processType), end)
		}
	}
	for identity := range a.others {
		if !present[identity] {
			delete(a.others, identity)
		}
	}
	a.leave(end)
	a.replace(heard)
	return a.silent()
}

// hear takes in a process that has a hash.
func (a *attendance) hear(process *processLook, start, end time.Time) {
	if !process.serves {
		delete(a.signs, process.Identity)
		if process.Dyno != "" {
			put(&a.others, process.Identity, true)
		}
		return
	}
	known := a.signs[process.Identity]
	ago := max(0, process.HeardAgo)
	if known == nil {
		known = &sign{Silent: Silent{Identity: process.Identity, Dyno: process.Dyno, FirstHeard: end.Add(-ago)}}
		put(&a.signs, process.Identity, known)
	}
	known.Tag, known.member, known.silent, known.replaced = process.Tag, true, false, false
	known.LastHeard, known.least, known.seen = end.Add(-ago), start.Add(-ago), start
}

// fall notes that the hash has expired since the process was heard. A heartbeat that came after that
// look can only have expired if the look is longer ago than the expiry takes.
func (s *sign) fall(end time.Time) {
	if latest := end.Add(-heartbeatTTL); !s.silent && s.seen.Before(latest) {
		s.LastHeard = latest
	}
	s.silent = true
}

// miss takes in a member without a hash. One that was never heard counts if the name is that of a dyno
// of the process type: which queues it serves cannot be told.
func (a *attendance) miss(identity, dyno string, end time.Time) {
	known := a.signs[identity]
	if known == nil {
		if dyno == "" || a.others[identity] {
			return
		}
		known = &sign{Silent: Silent{Identity: identity, Dyno: dyno}}
		known.LastHeard = end.Add(-heartbeatTTL) // a later heartbeat would still be there
		known.FirstHeard, known.silent = known.LastHeard, true
		put(&a.signs, identity, known)
	}
	known.fall(end)
	known.member = true
}

// leave looks at who is no member any more.
func (a *attendance) leave(end time.Time) {
	var gone []*sign
	for identity, known := range a.signs {
		switch {
		case known.member:
		case known.Dyno == "" || known.replaced || (!known.silent && end.Sub(known.least) < heartbeatTTL):
			delete(a.signs, identity)
		default:
			known.fall(end)
			gone = append(gone, known)
		}
	}
	if len(gone) <= mostGone {
		return
	}
	slices.SortFunc(gone, func(x, y *sign) int { return x.LastHeard.Compare(y.LastHeard) })
	for _, known := range gone[:len(gone)-mostGone] {
		delete(a.signs, known.Identity)
	}
}

// replace notes which silent processes are dead: two processes with the same process id, as in
// worker.1:4:8f2c and worker.1:4:17ab, have not run in one dyno side by side, and no two dynos of an app
// have the same name.
func (a *attendance) replace(heard []*processLook) {
	type position struct{ place, tag string }
	fresh := map[position]bool{}
	for _, process := range heard {
		if known := a.signs[process.Identity]; known != nil && process.Dyno != "" && process.Fresh() {
			fresh[position{place(process.Identity), process.Tag}], fresh[position{place(process.Identity), ""}] = true, true
		}
	}
	for _, known := range a.signs {
		if known.silent && fresh[position{place(known.Identity), known.Tag}] {
			known.replaced = true
		}
	}
}

// place is the dyno and the process id of an identity.
func place(identity string) string {
	if end := strings.LastIndexByte(identity, ':'); end >= 0 {
		return identity[:end]
	}
	return identity
}

func (a *attendance) silent() []Silent {
	var all []Silent
	for _, known := range a.signs {
		if known.silent && !known.replaced {
			all = append(all, known.Silent)
		}
	}
	slices.SortFunc(all, func(x, y Silent) int { return strings.Compare(x.Identity, y.Identity) })
	return all
}

// sameSilent reports whether two looks found the same processes silent.
func sameSilent(a, b []Silent) bool {
	return slices.EqualFunc(a, b, func(a, b Silent) bool { return a.Identity == b.Identity })
}

// put sets an entry of a map that is made when it is first needed: most owners' queues have no workers.
func put[V any](m *map[string]V, key string, value V) {
	if *m == nil {
		*m = map[string]V{}
	}
	(*m)[key] = value
}
