package queue

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// sidekiq reads the keys of Sidekiq 6, 7 and 8:
//
//	queues       SET   the names of the queues
//	queue:Q      LIST  LPUSH in, BRPOP out: the oldest is at -1
//	schedule     ZSET  by due time, seconds since 1970
//	retry        ZSET  likewise
//	processes    SET   identities, <DYNO or host name>:pid:nonce
//	<identity>   HASH  info, busy, quiet; written at each heartbeat with a TTL of 60 s
//	<id>:work    HASH  the running jobs; <id>:workers up to 6.4.1
//	paused       SET   names of queues, which only Sidekiq Pro acts on
type sidekiq struct {
	spec Spec
	// due are the scans of the schedule and retry sets; none if scheduled jobs do not matter.
	due []*dueScan
	// attendance tells which processes ceased to be heard.
	attendance attendance
}

func newSidekiq(spec Spec) reader {
	s := &sidekiq{spec: spec}
	if spec.DueHorizon > 0 {
		s.due = []*dueScan{newDueScan(s.key("schedule")), newDueScan(s.key("retry"))}
	}
	return s
}

var sidekiqPresence = presence{
	signs: func(b *batch, spec Spec, name string) []evidence {
		register := spec.KeyPrefix + "queues"
		if name == AllQueues {
			names := b.members(register)
			return []evidence{{names, func() bool { return len(names.Val()) > 0 }}}
		}
		return []evidence{counted(b.listed(register, name)), counted(b.llen(spec.KeyPrefix + "queue:" + name))}
	},
	search: inRegister(func(spec Spec) string { return spec.KeyPrefix + "queues" }, ""),
}

func (s *sidekiq) watched() watchSet {
	var set watchSet
	if s.all() {
		set.allJobs = s.key("queue:")
	}
	for _, name := range s.spec.Names {
		set.jobs = append(set.jobs, s.key("queue:"+name))
	}
	for _, scan := range s.due {
		set.others = append(set.others, scan.key)
	}
	return set
}

func (s *sidekiq) look(result *Observation) step {
	l := &sidekiqLook{sidekiq: s, result: result, wanted: map[string]bool{}}
	return l.askBasics
}

// all says whether all queues are wanted.
func (s *sidekiq) all() bool { return len(s.spec.Names) == 0 }

func (s *sidekiq) key(name string) string { return s.spec.KeyPrefix + name }

// sidekiqLook is one look in progress.
type sidekiqLook struct {
	*sidekiq
	result *Observation

	clock     *redis.TimeCmd
	processed *redis.StringCmd
	names     *redis.StringSliceCmd
	paused    *redis.StringSliceCmd
	members   *redis.StringSliceCmd
	queues    []*queueLook
	processes []*processLook

	// wanted are the names of the queues asked for, paused ones excluded.
	wanted map[string]bool
	now    time.Time // Redis's
}

type queueLook struct {
	name   string
	depth  *redis.IntCmd
	oldest *redis.StringCmd
}

func (l *sidekiqLook) askBasics(b *batch) (step, error) {
	l.clock = b.time()
	l.processed = b.get(l.key("stat:processed"))
	l.paused = b.members(l.key("paused"))
	l.members = b.members(l.key("processes"))
	// Scheduled jobs before the queues, and these before the processes: a job that moves on between
	// two commands must not escape both.
	for _, scan := range l.due {
		scan.begin(b)
	}
	if l.all() {
		l.names = b.members(l.key("queues"))
	} else {
		l.askQueues(b, l.spec.Names)
	}
	return l.askDetails, nil
}

func (l *sidekiqLook) askQueues(b *batch, names []string) {
	for _, name := range names {
		key := l.key("queue:" + name)
		l.queues = append(l.queues, &queueLook{name: name, depth: b.llen(key), oldest: b.lastOf(key)})
	}
}

func (l *sidekiqLook) askDetails(b *batch) (step, error) {
	if err := firstFailure(l.clock, l.processed, l.paused, l.members); err != nil {
		return nil, err
	}
	l.now = l.clock.Val()
	if l.all() {
		if err := failure(l.names); err != nil {
			return nil, err
		}
		l.askQueues(b, l.names.Val())
	}
	l.wantUnpaused()
	for _, identity := range l.members.Val() {
		l.processes = append(l.processes, askProcess(b, l.key(identity), identity))
	}
	return l.askWork, l.continueScans(b)
}

// wantUnpaused leaves out the queues whose jobs no worker would take.
func (l *sidekiqLook) wantUnpaused() {
	paused := l.paused.Val()
	for _, queue := range l.queues {
		if slices.Contains(paused, queue.name) {
			l.result.Paused = append(l.result.Paused, queue.name)
		} else {
			l.wanted[queue.name] = true
		}
	}
	slices.Sort(l.result.Paused)
}

func (l *sidekiqLook) askWork(b *batch) (step, error) {
	alive := l.processes[:0]
	for _, process := range l.processes {
		if err := process.read(); err != nil {
			return nil, err
		}
		if process.exists {
			process.askWork(b, l.key(process.Identity))
			alive = append(alive, process)
		}
	}
	l.processes = alive
	return l.scanOn, l.continueScans(b)
}

// scanOn gives the scans of scheduled jobs the round trips they still want.
func (l *sidekiqLook) scanOn(b *batch) (step, error) {
	if err := l.continueScans(b); err != nil {
		return nil, err
	}
	for _, scan := range l.due {
		if scan.asking() {
			return l.scanOn, nil
		}
	}
	return nil, l.conclude()
}

func (l *sidekiqLook) continueScans(b *batch) error {
	for _, scan := range l.due {
		if err := scan.step(b, l.now.Add(l.spec.DueHorizon), l.mine); err != nil {
			return err
		}
	}
	return nil
}

// mine says whether a scheduled job's payload is for one of the wanted queues. One that cannot be
// read may be.
func (l *sidekiqLook) mine(payload string) bool {
	queue, ok := queueOf(payload)
	switch {
	case !ok:
		return true
	case l.all():
		return !slices.Contains(l.paused.Val(), queue) // a queue may be too new to be listed
	}
	return l.wanted[queue]
}

func (l *sidekiqLook) conclude() error {
	if err := l.countWaiting(); err != nil {
		return err
	}
	if err := l.countInFlight(); err != nil {
		return err
	}
	l.countProcessed()
	l.findNotServed()
	l.result.Silent = l.attendance.after(l.result.Start, time.Now(), l.spec.ProcessType, l.members.Val(), l.processes)
	for _, scan := range l.due {
		l.result.addDue(l.now, scan.due)
		l.result.DueKnownUntil = earliest(l.result.DueKnownUntil, l.result.fromRedis(l.now, scan.known))
	}
	return nil
}

func (l *sidekiqLook) countWaiting() error {
	for _, queue := range l.queues {
		if err := firstFailure(queue.depth, queue.oldest); err != nil {
			return err
		}
		if !l.wanted[queue.name] {
			continue
		}
		l.result.Depth += queue.depth.Val()
		if since, ok := enqueuedAt(queue.oldest.Val()); ok {
			l.result.addOldest(l.now, since)
		}
	}
	return nil
}

func (l *sidekiqLook) countInFlight() error {
	l.result.Heartbeats = true
	var here, elsewhere bool // fresh processes of the process type that serve these queues, or do not
	for _, process := range l.processes {
		process.Dyno = dynoOf(process.Identity, l.spec.ProcessType)
		serves, certain := l.serves(process)
		if !certain {
			l.result.Doubt = fmt.Sprintf("the info of Sidekiq process %s cannot be understood", process.Identity)
		}
		inFlight, err := process.inFlight(serves, func(queue string) bool {
			return l.all() || slices.Contains(l.spec.Names, queue) || (serves && process.Dyno != "")
		})
		if err != nil {
			return err
		}
		process.serves = serves
		l.result.InFlight += inFlight
		if process.Fresh() {
			l.noteServed(process.queues)
		}
		if process.Fresh() && process.Dyno != "" {
			here, elsewhere = here || serves, elsewhere || !serves
		}
		if serves {
			l.result.Processes = append(l.result.Processes, process.Process)
		}
	}
	l.result.Elsewhere = elsewhere && !here
	slices.SortFunc(l.result.Processes, func(a, b Process) int { return strings.Compare(a.Identity, b.Identity) })
	return nil
}

// noteServed takes in the queues that a living process works on.
func (l *sidekiqLook) noteServed(queues []string) {
	if l.all() && len(queues) > 0 {
		l.result.served = append(l.result.served, AllQueues)
	}
	for _, name := range l.spec.Names {
		if slices.Contains(queues, name) {
			l.result.served = append(l.result.served, name)
		}
	}
}

// serves says whether a process works on one of the queues, paused or not, and whether that is certain.
func (l *sidekiqLook) serves(process *processLook) (serves, certain bool) {
	if process.queues == nil {
		return true, false
	}
	if l.all() {
		return true, true
	}
	return slices.ContainsFunc(l.spec.Names, func(name string) bool { return slices.Contains(process.queues, name) }), true
}

// countProcessed takes Sidekiq's counter of finished jobs as activity, as long as there are no
// other processes that it could be counting for.
func (l *sidekiqLook) countProcessed() {
	l.result.Processed = -1
	if len(l.result.Processes) != len(l.processes) {
		return
	}
	switch count, err := l.processed.Int64(); {
	case errors.Is(err, redis.Nil):
		l.result.Processed = 0 // the first job makes the counter
	case err == nil:
		l.result.Processed = count
	}
}

// findNotServed names the queues with waiting jobs that no living process takes jobs from, if there
// are living processes at all.
func (l *sidekiqLook) findNotServed() {
	if l.result.Live() == 0 || l.result.Doubt != "" {
		return
	}
	served := map[string]bool{}
	for _, process := range l.processes {
		if process.Fresh() {
			for _, queue := range process.queues {
				served[queue] = true
			}
		}
	}
	for _, queue := range l.queues {
		if l.wanted[queue.name] && queue.depth.Val() > 0 && !served[queue.name] {
			l.result.NotServed = append(l.result.NotServed, queue.name)
		}
	}
	slices.Sort(l.result.NotServed)
}

// earliest returns the earlier of two times, of which zero stands for never.
func earliest(a, b time.Time) time.Time {
	if a.IsZero() || (!b.IsZero() && b.Before(a)) {
		return b
	}
	return a
}
