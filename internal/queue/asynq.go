package queue

import (
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"
)

// asynq reads a queue of Asynq. Its keys begin with asynq:{Q}:
//
//	pending           LIST    ids, LPUSH in, taken from the end: the oldest is at -1
//	scheduled, retry  ZSET    ids by due time, seconds since 1970
//	groups            SET     names of the groups whose tasks wait to be aggregated, which servers do
//	aggregation_sets  ZSET    keys of the tasks that are being aggregated, by when a server gives up
//	active            LIST    ids of the running tasks
//	lease             ZSET    the same, by when their lease ends; their server renews it
//	paused            STRING  there while the queue is paused
//	t:<id>            HASH    pending_since is in nanoseconds; a task put back by a server has none
//
// asynq:queues is a SET of the names of all queues, made by clients. The servers' own records
// (asynq:servers) outlive them, and only tell that a queue is there.
type asynq struct {
	name string
	due  bool // scheduled tasks matter
}

func newAsynq(spec Spec, name string) reader { return &asynq{name: name, due: spec.DueHorizon > 0} }

func (q *asynq) key(name string) string { return "asynq:{" + q.name + "}:" + name }

func (q *asynq) watched() watchSet {
	set := watchSet{
		jobs:   []string{q.key("pending"), q.key("active"), q.key("groups"), q.key("aggregation_sets")},
		others: []string{q.key("paused")},
	}
	if q.due {
		set.others = append(set.others, q.key("scheduled"), q.key("retry"))
	}
	return set
}

const asynqQueues = "asynq:queues"

var asynqPresence = presence{
	signs: func(b *batch, spec Spec, name string) []evidence {
		q := &asynq{name: name}
		return []evidence{counted(b.listed(asynqQueues, name)), counted(b.llen(q.key("pending"))), counted(b.llen(q.key("active")))}
	},
	search: searchAsynq,
}

// asynqLook is one look in progress.
type asynqLook struct {
	*asynq
	result *Observation

	clock   *redis.TimeCmd
	due     []*redis.ZSliceCmd
	pause   *redis.IntCmd
	waiting []*redis.IntCmd
	oldest  *redis.StringCmd

	// Of the second round trip.
	since           *redis.StringCmd // nil if nothing waits
	active, expired *redis.IntCmd
	orphans         *redis.StringSliceCmd
}

func (q *asynq) look(result *Observation) step {
	l := &asynqLook{asynq: q, result: result}
	return l.askQueue
}

// askQueue asks along the way that tasks take, so that none moves on unseen between two commands.
func (l *asynqLook) askQueue(b *batch) (step, error) {
	l.clock = b.time()
	if l.asynq.due {
		l.due = []*redis.ZSliceCmd{b.lowest(l.key("scheduled")), b.lowest(l.key("retry"))}
	}
	l.waiting = []*redis.IntCmd{b.setSize(l.key("groups")), b.sortedSize(l.key("aggregation_sets")), b.llen(l.key("pending"))}
	l.oldest = b.lastOf(l.key("pending"))
	l.pause = b.exists(l.key("paused"))
	return l.askTasks, nil
}

func (l *asynqLook) askTasks(b *batch) (step, error) {
	if err := firstFailure(l.clock, l.oldest, l.pause); err != nil {
		return nil, err
	}
	if id := l.oldest.Val(); id != "" {
		l.since = b.field(l.key("t:"+id), "pending_since")
	}
	now := "(" + strconv.FormatInt(l.clock.Val().Unix(), 10)
	l.active = b.llen(l.key("active"))
	l.expired, l.orphans = b.upTo(l.key("lease"), now), b.lowestUpTo(l.key("lease"), now, orphansNamed)
	return l.conclude, nil
}

func (l *asynqLook) conclude(*batch) (step, error) {
	if err := firstFailure(l.active, l.expired, l.orphans); err != nil {
		return nil, err
	}
	l.result.InFlight += max(0, l.active.Val()-l.expired.Val())
	l.result.addOrphans(l.expired.Val(), l.name, l.orphans.Val()...)
	if l.pause.Val() > 0 {
		l.result.Paused = append(l.result.Paused, l.name)
		return nil, nil
	}
	return nil, l.countWaiting()
}

func (l *asynqLook) countWaiting() error {
	depth, err := sum(l.waiting)
	if err != nil {
		return err
	}
	l.result.Depth += depth
	now := l.clock.Val()
	if l.since != nil {
		if err := failure(l.since); err != nil {
			return err
		}
		if since, err := strconv.ParseInt(l.since.Val(), 10, 64); err == nil {
			l.result.addOldest(now, time.Unix(0, since))
		}
	}
	for _, lowest := range l.due {
		if err := l.result.addLowest(now, lowest); err != nil {
			return err
		}
	}
	return nil
}
