package queue

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// celery reads the keys that kombu keeps for Celery, kombu/transport/redis.py there:
//
//	Q, Q\x06\x161 … 9  LIST  messages, LPUSH in, BRPOP out: the oldest is at -1. A priority has a list of its
//	                         own, of which kombu makes those of 0, 3, 6 and 9 unless it is told otherwise
//	unacked            HASH  by delivery tag, [message, exchange, routing key]: messages of all queues that
//	                         workers took and did not acknowledge
//	unacked_index      ZSET  the tags by the time they were taken, seconds since 1970
//
//	_kombu.binding.E   SET   of the queues bound to exchange E, routing key, pattern and queue with \x06\x16
//	                         between them. An exchange is called as its queue unless it is told otherwise
//
// A message with an eta waits in the list while no worker runs and in unacked while one does, so it
// counts by its eta, wherever it is. Nothing tells how old a message is, nor which workers live, and a
// task that was acknowledged before it began is seen no more.
type celery struct {
	spec  Spec
	lists []string
}

const (
	// celerySeparator is between a queue's name and a priority, and between the parts of a binding.
	celerySeparator  = "\x06\x16"
	celeryPriorities = 10
	// celeryRounds is how often a look reads a list again that grew meanwhile.
	celeryRounds = 3
)

func newCelery(spec Spec) reader {
	c := &celery{spec: spec}
	for _, name := range spec.Names {
		c.lists = append(c.lists, c.key(name))
		for priority := 1; priority < celeryPriorities; priority++ {
			c.lists = append(c.lists, c.key(name+celerySeparator+strconv.Itoa(priority)))
		}
	}
	return c
}

func (c *celery) key(name string) string { return c.spec.KeyPrefix + name }

const celeryBinding = "_kombu.binding."

var celeryPresence = presence{
	signs: func(b *batch, spec Spec, name string) []evidence {
		bound := b.randomMembers(spec.KeyPrefix+celeryBinding+name, 1)
		signs := []evidence{{bound, func() bool { return len(bound.Val()) > 0 }}}
		for _, list := range newCelery(Spec{KeyPrefix: spec.KeyPrefix, Names: []string{name}}).(*celery).lists {
			signs = append(signs, counted(b.llen(list)))
		}
		return signs
	},
	search: func(k *known, b *batch) step {
		return k.search.scan(b, escaped(k.spec.KeyPrefix+celeryBinding)+"*", k.readBindings)
	},
}

// readBindings asks which queues are bound to the exchanges of some keys.
func (k *known) readBindings(b *batch, keys []string) step {
	var bindings []*redis.StringSliceCmd
	for _, key := range keys[:min(len(keys), searchMembers)] {
		bindings = append(bindings, b.randomMembers(key, searchMembers))
	}
	if len(bindings) == 0 {
		return nil
	}
	return func(*batch) (step, error) {
		for _, binding := range bindings {
			for _, member := range binding.Val() {
				if at := strings.LastIndex(member, celerySeparator); at >= 0 {
					k.see(member[at+len(celerySeparator):])
					k.addCelery(member[at+len(celerySeparator):])
				}
			}
		}
		return nil, nil
	}
}

// addCelery leaves out what Celery itself uses: queues of events, and for control of each worker.
func (k *known) addCelery(name string) {
	if !strings.HasPrefix(name, "celeryev") && !strings.HasSuffix(name, ".pidbox") {
		k.search.add(name)
	}
}

// watched leaves unacked out, which tells of all queues: a task taken or put back moves its list, too.
func (c *celery) watched() watchSet { return watchSet{jobs: c.lists, silent: true} }

func (c *celery) look(result *Observation) step {
	l := &celeryLook{celery: c, result: result}
	return l.askLists
}

// celeryLook is one look in progress.
type celeryLook struct {
	*celery
	result *Observation

	clock   *redis.TimeCmd
	now     time.Time // Redis's
	scans   []*messageScan
	lengths []*redis.IntCmd // of the lists, after all else
	rounds  int
	unacked *unackedScan
}

// askLists asks for the lists before unacked: a message that is taken in between must not escape both.
func (l *celeryLook) askLists(b *batch) (step, error) {
	l.clock = b.time()
	for _, key := range l.lists {
		l.scans = append(l.scans, newMessageScan(b, key))
	}
	// The index before the size, so that what is told apart below is part of the size.
	l.unacked = &unackedScan{index: b.byScore(l.key("unacked_index"), "-inf", 0, scanMessages)}
	l.unacked.size = b.hashSize(l.key("unacked"))
	return l.scan, nil
}

// scan gives the scans the round trips they still want. Each ends with the lengths of the lists: a message
// that was put back from unacked meanwhile made one longer.
func (l *celeryLook) scan(b *batch) (step, error) {
	if err := firstFailure(l.clock); err != nil {
		return nil, err
	}
	l.now = l.clock.Val()
	asked, err := l.unacked.step(b, l)
	if err != nil {
		return nil, err
	}
	for _, scan := range l.scans {
		more, err := scan.step(b, l.now)
		if err != nil {
			return nil, err
		}
		asked = asked || more
	}
	if !asked && l.lengths != nil {
		return l.scanGrown(b)
	}
	l.lengths = lengths(b, l.lists)
	return l.scan, nil
}

// scanGrown scans the lists that grew once more, but not for ever.
func (l *celeryLook) scanGrown(b *batch) (step, error) {
	l.rounds++
	again := false
	for i, length := range l.lengths {
		if err := failure(length); err != nil {
			return nil, err
		}
		grown := length.Val() > l.scans[i].length.Val()
		switch {
		case grown && l.rounds < celeryRounds:
			l.scans[i], again = newMessageScan(b, l.lists[i]), true
		case grown:
			l.scans[i].length = length
		}
	}
	if again {
		l.lengths = nil
		return l.scan, nil
	}
	l.conclude()
	return nil, nil
}

func (l *celeryLook) conclude() {
	l.result.Processed = -1
	next := l.unacked.next
	for _, scan := range l.scans {
		l.result.Depth += scan.length.Val() - scan.later
		next = earliest(next, scan.next)
	}
	l.result.InFlight = l.unacked.inFlight(l.result)
	if l.spec.DueHorizon > 0 {
		l.result.addDue(l.now, next)
	}
}

// Bounds of one look at a list, or at unacked: what is behind them counts as work now.
const (
	scanMessages = 1000
	scanBytes    = 1 << 20
	scanGrowth   = 8 // a page has this many times the messages of those before it
)

// budget says how many messages may be asked for after so many messages and bytes.
func budget(messages, bytes int) int {
	if bytes >= scanBytes {
		return 0
	}
	page := scanGrowth * messages
	if bytes > 0 {
		page = min(page, (scanBytes-bytes)*messages/bytes) // if they are as large as those before
	}
	return min(max(1, page), scanMessages-messages)
}

// messageScan counts the messages at the old end of a list whose time has not come, up to the first
// whose time has.
type messageScan struct {
	key         string
	length      *redis.IntCmd
	page        *redis.StringSliceCmd
	read, bytes int

	later int64
	next  time.Time // the first eta among them
}

func newMessageScan(b *batch, key string) *messageScan {
	scan := &messageScan{key: key, length: b.llen(key)}
	scan.ask(b, budget(0, 0))
	return scan
}

func (s *messageScan) ask(b *batch, count int) {
	s.page = b.window(s.key, -s.read-count, -s.read-1)
}

// step takes in a page and asks for the next if it needs one.
func (s *messageScan) step(b *batch, now time.Time) (asked bool, err error) {
	if s.page == nil {
		return false, nil
	}
	page := s.page
	s.page = nil
	if err := firstFailure(s.length, page); err != nil {
		return false, err
	}
	for _, message := range slices.Backward(page.Val()) {
		s.read++
		s.bytes += len(message)
		due, ok := etaOf([]byte(message))
		if !ok || !due.After(now) {
			return false, nil
		}
		s.later++
		s.next = earliest(s.next, due)
	}
	count := budget(s.read, s.bytes)
	if len(page.Val()) == 0 || count == 0 || int64(s.read) >= s.length.Val() {
		return false, nil
	}
	s.ask(b, count)
	return true, nil
}

// unackedScan sorts the messages of unacked, oldest first.
type unackedScan struct {
	size        *redis.IntCmd
	index       *redis.ZSliceCmd
	page        *redis.SliceCmd
	tags        []redis.Z // of the page
	read, bytes int

	orphans []string
	others  int64     // of other queues, or whose time has not come
	next    time.Time // the first eta among those of these queues
}

// step takes in a page and asks for the next if it needs one.
func (u *unackedScan) step(b *batch, l *celeryLook) (asked bool, err error) {
	if err := firstFailure(u.size, u.index); err != nil {
		return false, err
	}
	if u.page != nil {
		if err := failure(u.page); err != nil {
			return false, err
		}
		for i, value := range u.page.Val() {
			u.read++
			if text, ok := value.(string); ok { // else it was acknowledged meanwhile
				u.bytes += len(text)
				u.sort(text, u.tags[i], l)
			}
		}
		u.page = nil
	}
	rest := u.index.Val()[u.read:]
	u.tags = rest[:min(len(rest), budget(u.read, u.bytes))]
	if len(u.tags) == 0 {
		return false, nil
	}
	fields := make([]any, len(u.tags))
	for i, tag := range u.tags {
		fields[i] = tag.Member
	}
	u.page = b.fields(l.key("unacked"), fields...)
	return true, nil
}

func (u *unackedScan) sort(text string, tag redis.Z, l *celeryLook) {
	var entry []json.RawMessage
	var exchange, routingKey string
	understood := json.Unmarshal([]byte(text), &entry) == nil && len(entry) == 3 &&
		json.Unmarshal(entry[1], &exchange) == nil && json.Unmarshal(entry[2], &routingKey) == nil
	if !understood {
		return
	}
	// Only the default exchange routes by the queue's name.
	if exchange == "" && !slices.Contains(l.spec.Names, routingKey) {
		u.others++
		return
	}
	due, ok := etaOf(entry[0])
	switch {
	case ok && due.After(l.now):
		u.others++
		u.next = earliest(u.next, due)
	case l.spec.ClaimIdle > 0 && timeOfScore(tag.Score).Add(l.spec.ClaimIdle).Before(l.now):
		name, _ := tag.Member.(string)
		u.orphans = append(u.orphans, name)
	}
}

// inFlight counts what is left, and adds the orphans to the result.
func (u *unackedScan) inFlight(result *Observation) int64 {
	result.addOrphans(int64(len(u.orphans)), "unacked", u.orphans...)
	return max(0, u.size.Val()-u.others-int64(len(u.orphans)))
}

// etaOf reads the time before which a message's task is not to run; not ok if it has none.
func etaOf(message []byte) (due time.Time, ok bool) {
	var task struct {
		Headers struct {
			ETA string `json:"eta"`
		} `json:"headers"`
	}
	if json.Unmarshal(message, &task) != nil {
		return time.Time{}, false
	}
	due, err := time.Parse(time.RFC3339Nano, task.Headers.ETA)
	if err == nil {
		return due, true
	}
	// Without a zone it is of the application's, which is at most 14 hours ahead of UTC.
	due, err = time.Parse("2006-01-02T15:04:05.999999999", task.Headers.ETA)
	return due.Add(-14 * time.Hour), err == nil
}
