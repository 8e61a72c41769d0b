package queue

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// resque reads the keys of Resque 2 and 3, lib/resque/data_store.rb there, and of resque-scheduler, behind
// the prefix of Resque's namespace:
//
//	queue:Q                 LIST    RPUSH in, LPOP out
//	queues                  SET     names of the queues that ever had a job
//	workers                 SET     ids, <host name>:<pid>:<queues, with commas>
//	worker:<id>             STRING  there while the worker runs a job
//	workers:heartbeat       HASH    by id, ISO 8601 by Redis's clock, every 60 s
//	pause-all-workers       STRING  true while no worker takes jobs
//	delayed_queue_schedule  ZSET    due times, seconds since 1970
//	delayed:<time>          LIST    the jobs that are due then
//
// What a killed worker left stays until another worker starts on its queues: its heartbeat tells. On
// Heroku the host name is no dyno's name, so a worker is known only by its queues.
type resque struct {
	spec Spec
	// from is where the scan of the schedule goes on: other queues' overdue jobs may stand in front.
	from string
}

const (
	resquePrefix = "resque:"
	// resqueDead is the age of a heartbeat from which on Resque takes a worker for dead.
	resqueDead = 300 * time.Second
	// Bounds of one look at the schedule: so many due times, and of each so many jobs.
	delayedTimes = 25
	delayedJobs  = 8
)

func newResque(spec Spec) reader {
	spec.KeyPrefix = cmp.Or(spec.KeyPrefix, resquePrefix)
	return &resque{spec: spec, from: "-inf"}
}

func (r *resque) key(name string) string { return r.spec.KeyPrefix + name }

var resquePresence = presence{
	signs: func(b *batch, spec Spec, name string) []evidence {
		prefix := cmp.Or(spec.KeyPrefix, resquePrefix)
		return []evidence{counted(b.listed(prefix+"queues", name)), counted(b.llen(prefix + "queue:" + name))}
	},
	search: inRegister(func(spec Spec) string { return cmp.Or(spec.KeyPrefix, resquePrefix) + "queues" }, ""),
}

func (r *resque) watched() watchSet {
	set := watchSet{others: []string{r.key("pause-all-workers")}}
	for _, name := range r.spec.Names {
		set.jobs = append(set.jobs, r.key("queue:"+name))
	}
	if r.spec.DueHorizon > 0 {
		set.others = append(set.others, r.key("delayed_queue_schedule"))
	}
	return set
}

func (r *resque) look(result *Observation) step {
	l := &resqueLook{resque: r, result: result}
	return l.askQueues
}

// resqueLook is one look in progress.
type resqueLook struct {
	*resque
	result *Observation

	clock    *redis.TimeCmd
	pause    *redis.StringCmd
	schedule *redis.ZSliceCmd
	members  *redis.StringSliceCmd
	lengths  []queueLength

	now        time.Time // Redis's
	delayed    []delayedLook
	ids        []string // of the workers that may serve one of the queues
	heartbeats *redis.SliceCmd
	running    []*redis.IntCmd
}

// delayedLook is the beginning of the jobs that are due at one time.
type delayedLook struct {
	score float64
	jobs  *redis.StringSliceCmd
}

func (l *resqueLook) askQueues(b *batch) (step, error) {
	l.clock, l.pause = b.time(), b.get(l.key("pause-all-workers"))
	// In the order in which a job moves on, so that it cannot escape between two commands.
	if l.spec.DueHorizon > 0 {
		l.schedule = b.byScore(l.key("delayed_queue_schedule"), l.from, 0, delayedTimes)
	}
	for _, name := range l.spec.Names {
		l.lengths = append(l.lengths, queueLength{before: b.llen(l.key("queue:" + name))})
	}
	l.members = b.members(l.key("workers"))
	return l.askDetails, nil
}

func (l *resqueLook) askDetails(b *batch) (step, error) {
	if err := firstFailure(l.clock, l.pause, l.members); err != nil {
		return nil, err
	}
	l.now = l.clock.Val()
	if err := l.askDelayed(b); err != nil {
		return nil, err
	}
	l.askWorkers(b)
	for i, name := range l.spec.Names {
		l.lengths[i].after = b.llen(l.key("queue:" + name))
	}
	return func(*batch) (step, error) { return nil, l.conclude() }, nil
}

// askDelayed asks for the jobs that are due before the horizon.
func (l *resqueLook) askDelayed(b *batch) error {
	if l.schedule == nil {
		return nil
	}
	horizon := l.now.Add(l.spec.DueHorizon)
	for _, entry := range l.schedule.Val() {
		if timeOfScore(entry.Score).After(horizon) {
			break
		}
		member, _ := entry.Member.(string)
		jobs := b.window(l.key("delayed:"+member), 0, delayedJobs-1)
		l.delayed = append(l.delayed, delayedLook{entry.Score, jobs})
	}
	return failure(l.schedule)
}

// askWorkers asks about the workers that may serve one of the queues.
func (l *resqueLook) askWorkers(b *batch) {
	var ids []any
	for _, id := range l.members.Val() {
		if l.serves(id) {
			ids, l.ids = append(ids, id), append(l.ids, id)
			l.running = append(l.running, b.exists(l.key("worker:"+id)))
		}
	}
	if len(ids) > 0 {
		l.heartbeats = b.fields(l.key("workers:heartbeat"), ids...)
	}
}

// noteServed takes in the queues that a living worker serves by name. A pattern names none.
func (l *resqueLook) noteServed(id string) {
	parts := strings.SplitN(id, ":", 3)
	if len(parts) < 3 {
		return
	}
	for _, queue := range strings.Split(parts[2], ",") {
		if slices.Contains(l.spec.Names, queue) {
			l.result.served = append(l.result.served, queue)
		}
	}
}

// serves says whether a worker may take jobs of one of the queues. A pattern may mean any queue.
func (l *resqueLook) serves(id string) bool {
	parts := strings.SplitN(id, ":", 3)
	if len(parts) < 3 || strings.ContainsAny(parts[2], "*?[]{}!@") {
		return true
	}
	return slices.ContainsFunc(strings.Split(parts[2], ","), func(queue string) bool { return slices.Contains(l.spec.Names, queue) })
}

func (l *resqueLook) conclude() error {
	l.result.Processed = -1
	if err := l.countRunning(); err != nil {
		return err
	}
	due, known, err := l.findDue()
	if err != nil {
		return err
	}
	for _, length := range l.lengths {
		if err := firstFailure(length.before, length.after); err != nil {
			return err
		}
	}
	if strings.EqualFold(strings.TrimSpace(l.pause.Val()), "true") {
		l.result.Paused = slices.Sorted(slices.Values(l.spec.Names))
		return nil
	}
	for _, length := range l.lengths {
		l.result.Depth += length.max()
	}
	l.result.addDue(l.now, due)
	l.result.DueKnownUntil = l.result.fromRedis(l.now, known)
	return nil
}

// countRunning counts the jobs of the workers that live. One without a heartbeat may: it is not of
// Resque, or older than heartbeats are.
func (l *resqueLook) countRunning() error {
	if l.heartbeats == nil {
		return nil
	}
	if err := failure(l.heartbeats); err != nil {
		return err
	}
	for i, heartbeat := range l.heartbeats.Val() {
		if err := failure(l.running[i]); err != nil {
			return err
		}
		text, _ := heartbeat.(string)
		beat, err := time.Parse(time.RFC3339, text)
		if alive := err != nil || l.now.Sub(beat) <= resqueDead; alive {
			l.result.InFlight += l.running[i].Val()
			l.noteServed(l.ids[i])
		}
	}
	return nil
}

// findDue returns when the first job of these queues is due, and until when the schedule is known if
// not as a whole. Where a look ends among other queues' jobs the next one goes on.
func (l *resqueLook) findDue() (due, known time.Time, err error) {
	from := l.from
	l.from = "-inf"
	for _, delayed := range l.delayed {
		if err := failure(delayed.jobs); err != nil {
			return due, known, err
		}
		known = timeOfScore(delayed.score)
		if l.mine(delayed.jobs.Val()) {
			return known, time.Time{}, nil
		}
		from = "(" + strconv.FormatFloat(delayed.score, 'f', -1, 64)
	}
	switch {
	case len(l.delayed) == delayedTimes:
		l.from = from
		return due, known, nil
	case l.schedule != nil && len(l.schedule.Val()) > len(l.delayed):
		return due, l.now.Add(l.spec.DueHorizon), nil
	}
	return due, time.Time{}, nil
}

// mine says whether one of the jobs is of these queues. One that cannot be read may be, and so may
// those that were not.
func (l *resqueLook) mine(jobs []string) bool {
	return len(jobs) == delayedJobs || slices.ContainsFunc(jobs, func(job string) bool {
		queue, ok := queueOf(job)
		return !ok || slices.Contains(l.spec.Names, queue)
	})
}
