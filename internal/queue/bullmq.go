package queue

import (
	"cmp"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// bullmq reads a queue of BullMQ 5 or 6, or of Bull 3 or 4. Its keys begin with bull:Q:
//
//	wait         LIST    ids, LPUSH in, taken from the end: the oldest is at -1
//	paused       LIST    what wait is called while the queue is paused, up to BullMQ 5
//	prioritized  ZSET    ids of the waiting jobs with a priority; Bull keeps them in wait
//	delayed      ZSET    ids by due time, milliseconds since 1970 times 4,096 and a counter below that
//	active       LIST    ids of the running jobs, the oldest at -1
//	<id>:lock    STRING  of a running job; its worker renews it before it expires, after 30 s
//	<id>         HASH    timestamp is when the job was made, in milliseconds
//	meta         HASH    paused is a field of it while the queue is paused
//	meta-paused  STRING  there while the queue is paused, in Bull
//	id           STRING  counts the jobs ever made
//	stalled-check  STRING  written by workers every 30 s, with an expiry
//
// A parent in waiting-children is no work: its children are, and the last of them moves it to wait.
type bullmq struct {
	name, prefix string
	due          bool // scheduled jobs matter
	isBull       bool
}

func newBullMQ(spec Spec, name string) reader { return newBullQueue(spec, name, false) }
func newBull(spec Spec, name string) reader   { return newBullQueue(spec, name, true) }

func newBullQueue(spec Spec, name string, isBull bool) reader {
	prefix := cmp.Or(spec.KeyPrefix, bullPrefix) + name + ":"
	return &bullmq{name: name, prefix: prefix, due: spec.DueHorizon > 0, isBull: isBull}
}

func (q *bullmq) key(name string) string { return q.prefix + name }

func (q *bullmq) watched() watchSet {
	set := watchSet{jobs: []string{q.key("wait"), q.key("paused"), q.key("active")}, others: []string{q.metaKey()}}
	if !q.isBull {
		set.jobs = append(set.jobs, q.key("prioritized"))
	}
	if q.due {
		set.others = append(set.others, q.key("delayed"))
	}
	return set
}

var (
	bullmqPresence = presence{signs: bullSigns, search: searchBull("meta")}
	bullPresence   = presence{signs: bullSigns, search: searchBull("id")}
)

func bullSigns(b *batch, spec Spec, name string) []evidence {
	key := newBullQueue(spec, name, false).(*bullmq).key
	return []evidence{
		counted(b.exists(key("id"))), counted(b.exists(key("meta"))), counted(b.exists(key("stalled-check"))),
		counted(b.llen(key("wait"))), counted(b.llen(key("active"))),
	}
}

// searchBull searches the keys of one name, which each queue has.
func searchBull(name string) func(*known, *batch) step {
	return func(k *known, b *batch) step {
		prefix := cmp.Or(k.spec.KeyPrefix, bullPrefix)
		return k.search.scan(b, escaped(prefix)+"*:"+name, func(_ *batch, keys []string) step {
			for _, key := range keys {
				k.search.add(strings.TrimSuffix(strings.TrimPrefix(key, prefix), ":"+name))
			}
			return nil
		})
	}
}

const bullPrefix = "bull:"

func (q *bullmq) metaKey() string {
	if q.isBull {
		return q.key("meta-paused")
	}
	return q.key("meta")
}

// takenLooked is how many of the running jobs are looked at, the oldest.
const takenLooked = 25

// bullLook is one look in progress.
type bullLook struct {
	*bullmq
	result *Observation

	clock   *redis.TimeCmd
	delayed *redis.ZSliceCmd // nil if it does not matter
	pause   redis.Cmder
	waiting []*redis.IntCmd
	oldest  *redis.StringCmd
	active  *redis.IntCmd
	taken   *redis.StringSliceCmd

	// Of the second round trip; nil where there is nothing to ask.
	made       *redis.StringCmd
	locks      *redis.SliceCmd
	stillTaken *redis.StringSliceCmd
}

func (q *bullmq) look(result *Observation) step {
	l := &bullLook{bullmq: q, result: result}
	return l.askQueue
}

// askQueue asks along the way that jobs take, so that none moves on unseen between two commands.
func (l *bullLook) askQueue(b *batch) (step, error) {
	l.clock = b.time()
	if l.due {
		l.delayed = b.lowest(l.key("delayed"))
	}
	l.waiting = lengths(b, []string{l.key("wait"), l.key("paused")})
	if l.isBull {
		l.pause = b.exists(l.metaKey())
	} else {
		l.pause = b.fields(l.metaKey(), "paused")
		l.waiting = append(l.waiting, b.sortedSize(l.key("prioritized")))
	}
	l.oldest = b.lastOf(l.key("wait"))
	l.active, l.taken = b.llen(l.key("active")), b.window(l.key("active"), -takenLooked, -1)
	return l.askJobs, nil
}

// askJobs asks after the jobs whose ids are known. The running ones are listed again after their locks:
// one that was done in between has no lock, and is no orphan.
func (l *bullLook) askJobs(b *batch) (step, error) {
	if err := firstFailure(l.clock, l.pause, l.oldest, l.active, l.taken); err != nil {
		return nil, err
	}
	if id := l.oldest.Val(); id != "" {
		l.made = b.field(l.key(id), "timestamp")
	}
	if ids := l.taken.Val(); len(ids) > 0 {
		locks := make([]string, len(ids))
		for i, id := range ids {
			locks[i] = l.key(id + ":lock")
		}
		l.locks, l.stillTaken = b.strings(locks...), b.window(l.key("active"), -takenLooked, -1)
	}
	return l.conclude, nil
}

func (l *bullLook) conclude(*batch) (step, error) {
	if err := l.countTaken(); err != nil {
		return nil, err
	}
	if l.paused() {
		l.result.Paused = append(l.result.Paused, l.name)
		return nil, nil
	}
	return nil, l.countWaiting()
}

func (l *bullLook) paused() bool {
	switch pause := l.pause.(type) {
	case *redis.IntCmd:
		return pause.Val() > 0
	case *redis.SliceCmd:
		return pause.Val()[0] != nil
	}
	return false
}

// countTaken tells the jobs that run from those whose worker died. What was not looked at runs.
func (l *bullLook) countTaken() error {
	var orphans []string
	if l.locks != nil {
		if err := firstFailure(l.locks, l.stillTaken); err != nil {
			return err
		}
		taken := map[string]bool{}
		for _, id := range l.stillTaken.Val() {
			taken[id] = true
		}
		for i, id := range l.taken.Val() {
			if l.locks.Val()[i] == nil && taken[id] {
				orphans = append(orphans, id)
			}
		}
	}
	l.result.addOrphans(int64(len(orphans)), l.name, orphans...)
	l.result.InFlight += max(0, l.active.Val()-int64(len(orphans)))
	return nil
}

func (l *bullLook) countWaiting() error {
	depth, err := sum(l.waiting)
	if err != nil {
		return err
	}
	l.result.Depth += depth
	now := l.clock.Val()
	if l.made != nil {
		if err := failure(l.made); err != nil {
			return err
		}
		if ms, err := strconv.ParseInt(l.made.Val(), 10, 64); err == nil {
			l.result.addOldest(now, time.UnixMilli(ms))
		}
	}
	if l.delayed == nil {
		return nil
	}
	if err := failure(l.delayed); err != nil {
		return err
	}
	for _, job := range l.delayed.Val() {
		l.result.addDue(now, timeOfScore(math.Floor(job.Score/4096)/1000))
	}
	return nil
}
