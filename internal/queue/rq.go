package queue

import (
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"
)

// rq reads a queue of RQ 1 and 2 (rq/queue.py and rq/registry.py there):
//
//	rq:queue:Q               LIST    ids, RPUSH in, BLPOP out: the oldest is at 0
//	rq:queue:Q:intermediate  LIST    ids between there and rq:wip:Q, since 1.14, of workers of one queue
//	rq:wip:Q                 ZSET    running jobs by the time, seconds since 1970, until which their worker
//	                                 vouches for them: up to 90 s ahead, renewed every 30 s
//	rq:scheduled:Q           ZSET    ids by due time, seconds since 1970: scheduled jobs and later retries
//	rq:suspended             STRING  there while all workers are suspended
//	rq:queues                SET     rq:queue:Q of each queue that ever had a job
//	rq:workers:Q             SET     the workers that serve the queue
//	rq:job:<id>              HASH    enqueued_at is ISO 8601, in UTC
//
// A free worker says so only every few minutes, so workers are not looked at. What is in rq:deferred:Q
// waits for other jobs, not for a worker.
type rq struct {
	name string
	due  bool // scheduled jobs matter
	// passing are the ids of the intermediate list, with Redis's time when they were first seen there.
	passing map[string]time.Time
}

// rqStuck is how long a job has been in an intermediate list when RQ, too, takes it for stuck.
const rqStuck = time.Minute

func newRQ(spec Spec, name string) reader { return &rq{name: name, due: spec.DueHorizon > 0} }

func (q *rq) key(kind string) string { return "rq:" + kind + ":" + q.name }

func (q *rq) watched() watchSet {
	set := watchSet{jobs: []string{q.key("queue"), q.key("wip")}, others: []string{"rq:suspended"}}
	if q.due {
		set.others = append(set.others, q.key("scheduled"))
	}
	return set
}

var rqPresence = presence{
	signs: func(b *batch, spec Spec, name string) []evidence {
		q := &rq{name: name}
		return []evidence{
			counted(b.listed("rq:queues", q.key("queue"))), counted(b.exists(q.key("workers"))), counted(b.llen(q.key("queue"))),
		}
	},
	search: inRegister(func(Spec) string { return "rq:queues" }, "rq:queue:"),
}

// rqLook is one look in progress.
type rqLook struct {
	*rq
	result *Observation

	clock     *redis.TimeCmd
	suspended *redis.IntCmd
	scheduled *redis.ZSliceCmd // nil if such jobs do not matter
	length    queueLength
	oldest    *redis.StringCmd

	// Of the second round trip.
	now              time.Time        // Redis's
	since            *redis.StringCmd // nil if nothing waits
	passing          *redis.IntCmd
	passingIDs       *redis.StringSliceCmd
	taken, abandoned *redis.IntCmd
	abandonedIDs     *redis.StringSliceCmd
}

func (q *rq) look(result *Observation) step {
	l := &rqLook{rq: q, result: result}
	return l.askQueue
}

// askQueue asks along the way that jobs take, so that none moves on unseen between two commands.
func (l *rqLook) askQueue(b *batch) (step, error) {
	l.clock, l.suspended = b.time(), b.exists("rq:suspended")
	if l.due {
		l.scheduled = b.lowest(l.key("scheduled"))
	}
	l.length.before, l.oldest = b.llen(l.key("queue")), b.firstOf(l.key("queue"))
	return l.askTaken, nil
}

func (l *rqLook) askTaken(b *batch) (step, error) {
	if err := firstFailure(l.clock, l.suspended, l.length.before, l.oldest); err != nil {
		return nil, err
	}
	l.now = l.clock.Val()
	if id := l.oldest.Val(); id != "" {
		l.since = b.field("rq:job:"+id, "enqueued_at")
	}
	intermediate, wip, now := l.key("queue")+":intermediate", l.key("wip"), strconv.FormatInt(l.now.Unix(), 10)
	l.passing, l.passingIDs = b.llen(intermediate), b.window(intermediate, 0, orphansNamed-1)
	l.taken, l.abandoned, l.abandonedIDs = b.sortedSize(wip), b.upTo(wip, now), b.lowestUpTo(wip, now, orphansNamed)
	l.length.after = b.llen(l.key("queue"))
	return l.conclude, nil
}

func (l *rqLook) conclude(*batch) (step, error) {
	if err := firstFailure(l.passing, l.passingIDs, l.taken, l.abandoned, l.abandonedIDs, l.length.after); err != nil {
		return nil, err
	}
	stuck := l.findStuck()
	l.result.InFlight += max(0, l.taken.Val()-l.abandoned.Val()) + max(0, l.passing.Val()-int64(len(stuck)))
	if l.suspended.Val() > 0 { // suspended workers take no jobs and recover none
		l.result.Paused = append(l.result.Paused, l.name)
		return nil, nil
	}
	l.result.Depth += l.length.max()
	l.result.addOrphans(l.abandoned.Val()+int64(len(stuck)), l.name, append(stuck, l.abandonedIDs.Val()...)...)
	return nil, l.findTimes()
}

// findStuck returns the jobs that are too long in the intermediate list: their worker died.
func (l *rqLook) findStuck() (stuck []string) {
	passing := map[string]time.Time{}
	for _, id := range l.passingIDs.Val() {
		since, known := l.rq.passing[id]
		if !known {
			since = l.now
		}
		if passing[id] = since; l.now.Sub(since) > rqStuck {
			stuck = append(stuck, id)
		}
	}
	l.rq.passing = passing
	return stuck
}

func (l *rqLook) findTimes() error {
	if l.since != nil {
		if err := failure(l.since); err != nil {
			return err
		}
		if since, err := time.Parse(time.RFC3339Nano, l.since.Val()); err == nil {
			l.result.addOldest(l.now, since)
		}
	}
	if l.scheduled == nil {
		return nil
	}
	return l.result.addLowest(l.now, l.scheduled)
}

// queueLength is a list's length before and after a look at where its jobs go: one that is put back
// meanwhile is in the second.
type queueLength struct{ before, after *redis.IntCmd }

func (q queueLength) max() int64 { return max(q.before.Val(), q.after.Val()) }
