package queue

import (
	"hash/fnv"
	"slices"
	"time"
)

// Observation is what one look at a queue found. Ages and waits are measured by the Redis server's
// clock alone; the Hub adds the operator's times of the look.
type Observation struct {
	// Depth is the number of jobs waiting, without those of paused queues.
	Depth int64
	// InFlight is the number of jobs taken and not finished, as far as Redis shows them: those of
	// these queues, and any other job on those processes of the scaled process type that serve them.
	InFlight int64
	// Orphans is the number of jobs taken by workers that died: only running workers recover them. They
	// are not in flight. OrphanMark tells one set of them from another; it is 0 if there are none.
	Orphans    int64
	OrphanMark uint64
	// Latency is the age of the oldest waiting job; 0 where the job system does not tell.
	Latency time.Duration

	// NextDue is when the next scheduled or retried job is due; zero if none is known of.
	NextDue time.Time
	// DueKnownUntil: scheduled jobs due later than this were not looked at. Zero: all were.
	DueKnownUntil time.Time

	// Heartbeats says whether the job system shows its worker processes at all.
	Heartbeats bool
	// Processes are those that serve these queues and may still be alive.
	Processes []Process
	// Silent are those that ceased to be heard, and were not seen to stop.
	Silent []Silent
	// Processed counts the jobs ever finished, where that number is of these queues alone; else -1.
	Processed int64
	// NotServed are queues with waiting jobs that none of the living processes works on.
	NotServed []string
	// Paused are those of the queues that are paused.
	Paused []string

	// Elsewhere says that processes of the scaled process type are heard and none of them serves
	// these queues: the names are probably wrong, and jobs of other queues may be running.
	Elsewhere bool

	// Absent are those of the queues that nothing in Redis ever showed, sorted: they may be empty, or
	// called otherwise, or elsewhere. AllQueues stands for all that the job system would list.
	Absent []string
	// Existing are some queues that are there while others are absent: close spellings first.
	Existing []string
	// Unasked says why Redis was not asked whether a queue is there; empty if it was.
	Unasked string
	// Seen are those of the queues that are known to be there, sorted. The slice is shared: nobody
	// changes it.
	Seen []string

	// served are queues that living workers serve by name, as far as these are looked at.
	served []string

	// Doubt says what could not be understood, and where; empty if nothing.
	Doubt string

	// Start and End are the operator's times just before the first and just after the last reply.
	Start, End time.Time
}

// Active says whether there is work now: jobs that wait, or jobs in flight. Orphans are work only for as
// long as somebody may recover them, which is not for a look to say.
func (o Observation) Active() bool { return o.Depth > 0 || o.InFlight > 0 }

// Wanted counts the jobs for which workers are to be started.
func (o Observation) Wanted() int64 { return o.Depth + o.Orphans }

// addOldest takes in that the oldest job of a queue waits since then, at now, both by Redis's clock.
func (o *Observation) addOldest(now, since time.Time) { o.Latency = max(o.Latency, now.Sub(since)) }

// addDue takes in a job's due time, at now, both by Redis's clock.
func (o *Observation) addDue(now, due time.Time) {
	o.NextDue = earliest(o.NextDue, o.fromRedis(now, due))
}

// fromRedis moves a time of Redis's clock, which shows now, to the operator's. Zero stays zero.
func (o *Observation) fromRedis(now, t time.Time) time.Time {
	if t.IsZero() {
		return t
	}
	return o.Start.Add(t.Sub(now))
}

// addOrphans takes in orphans of a queue, of which one at least has a name that stays the same from look
// to look.
func (o *Observation) addOrphans(count int64, queue string, names ...string) {
	o.Orphans += count
	for _, name := range names {
		digest := fnv.New64a()
		_, _ = digest.Write([]byte(queue + "\x00" + name))
		o.OrphanMark ^= digest.Sum64() // in any order
	}
}

// Process is a worker process as its own heartbeat shows it.
type Process struct {
	// Identity is <DYNO or host name>:<pid>:<nonce>.
	Identity string
	// Dyno is the dyno's name, where the identity begins with one of the scaled process type.
	Dyno string
	// Tag is what the application calls itself.
	Tag string
	// HeardAgo is the age of its last heartbeat; negative if it cannot be told.
	HeardAgo time.Duration
	// Busy is the number of jobs it said it was working on.
	Busy int64
	// Quiet processes finish what they have and take no more jobs.
	Quiet bool
	// Embedded processes run inside another program (Sidekiq.configure_embed, 7.0 and later). An embedded
	// process takes its signals off Redis and ignores them.
	Embedded bool
}

// Fresh says whether the heartbeat is recent: processes beat every 5 or 10 seconds.
func (p Process) Fresh() bool { return p.HeardAgo >= 0 && p.HeardAgo <= freshHeartbeat }

// freshHeartbeat is three beats of Sidekiq 7 and 8.
const freshHeartbeat = 30 * time.Second

// Live counts the processes with a fresh heartbeat.
func (o Observation) Live() int {
	live := 0
	for _, process := range o.Processes {
		if process.Fresh() {
			live++
		}
	}
	return live
}

// AllQuiet says whether there are live processes, and all of them are quiet.
func (o Observation) AllQuiet() bool {
	quiet := 0
	for _, process := range o.Processes {
		if process.Fresh() && process.Quiet {
			quiet++
		}
	}
	return quiet > 0 && quiet == o.Live()
}

// countingDelay is how much older what a heartbeat says may be than the heartbeat: Sidekiq counts the
// jobs that run, and writes the number after some other commands.
const countingDelay = time.Second

// heardAfter says whether every process is alive and has said since t what it is doing.
func (o Observation) heardAfter(t time.Time) bool {
	return !slices.ContainsFunc(o.Processes, func(p Process) bool { return !o.HeardAfter(p, t) })
}

// HeardAfter says whether a process is alive and has said since t what it is doing. A heartbeat's
// time is counted back from the start of the look, the earliest it can have been.
func (o Observation) HeardAfter(p Process, t time.Time) bool {
	return p.Fresh() && o.Start.Add(-p.HeardAgo).After(t.Add(countingDelay))
}
