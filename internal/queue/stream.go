package queue

import (
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// stream reads a stream that the consumers of one group read. An entry waits until it is delivered to one
// of them, and is pending, in flight, until that one acknowledges it. A consumer that works and one that
// died look the same: only how long an entry has been pending tells them apart.
type stream struct {
	key, group string
	claimIdle  time.Duration
	// heavy says that an entry was so large that none is read any more just for its age.
	heavy bool
}

// heavyEntry is how many bytes of an entry are read at each look to know its age.
const heavyEntry = 64 << 10

func newStream(spec Spec, name string) reader {
	return &stream{key: spec.KeyPrefix + name, group: spec.Group, claimIdle: spec.ClaimIdle}
}

func (s *stream) watched() watchSet { return watchSet{jobs: []string{s.key}} }

// streamLook is one look in progress.
type streamLook struct {
	*stream
	result *Observation

	clock  *redis.TimeCmd
	length *redis.IntCmd
	groups *redis.XInfoGroupsCmd
	// taken and lag are the entries that are pending and that are yet to be delivered; -1 if not known.
	taken, lag int64

	// Of the second round trip; nil where there is nothing to ask.
	next    *redis.XMessageSliceCmd
	pending *redis.XPendingExtCmd
}

func (s *stream) look(result *Observation) step {
	l := &streamLook{stream: s, result: result}
	return l.askGroups
}

func (l *streamLook) askGroups(b *batch) (step, error) {
	l.clock, l.length, l.groups = b.time(), b.streamLength(l.key), b.streamGroups(l.key)
	return l.askEntries, nil
}

func (l *streamLook) askEntries(b *batch) (step, error) {
	if err := firstFailure(l.clock, l.length); err != nil {
		return nil, err
	}
	if l.length.Val() == 0 && isNoSuchKey(l.groups.Err()) {
		return nil, nil
	}
	if err := failure(l.groups); err != nil {
		return nil, err
	}
	group := l.find()
	l.taken = group.Pending
	if group.Pending > 0 && l.claimIdle > 0 {
		l.pending = b.longestPending(l.key, l.group, orphansNamed)
	}
	l.lag = lagOf(group)
	if l.lag < 0 || (l.lag > 0 && !l.heavy) {
		l.next = b.firstAfter(l.key, group.LastDeliveredID)
	}
	return l.conclude, nil
}

// streamPresence: a stream that is read to its end is there, and so is its group. The name of the group
// may be wrong as well.
var streamPresence = presence{
	label: groupLabel,
	signs: func(b *batch, spec Spec, name string) []evidence {
		groups := b.streamGroups(spec.KeyPrefix + name)
		return []evidence{{groups, func() bool { return slices.Contains(groupNames(groups), spec.Group) }}}
	},
	search: func(k *known, b *batch) step {
		groups := map[string]*redis.XInfoGroupsCmd{}
		for _, queue := range k.unseen() {
			groups[queue.name] = b.streamGroups(k.spec.KeyPrefix + queue.name)
		}
		return func(*batch) (step, error) {
			for name, groups := range groups {
				for _, group := range groupNames(groups) {
					k.search.add(groupLabel(Spec{Group: group}, name))
				}
			}
			return nil, nil
		}
	},
}

func groupLabel(spec Spec, name string) string { return name + " (group " + spec.Group + ")" }

func groupNames(groups *redis.XInfoGroupsCmd) (names []string) {
	for _, group := range groups.Val() {
		names = append(names, group.Name)
	}
	return names
}

// find returns the workers' group. One that is yet to be made has everything before it.
func (l *streamLook) find() redis.XInfoGroup {
	for _, group := range l.groups.Val() {
		if group.Name == l.group {
			return group
		}
	}
	return redis.XInfoGroup{LastDeliveredID: "0-0", EntriesRead: -1, Lag: l.length.Val()}
}

// lagOf is the number of entries yet to be delivered; -1 if Redis does not know: it counts in vain where
// entries were deleted, or a group was set to somewhere in the middle, and before 7.0 it does not count.
func lagOf(group redis.XInfoGroup) int64 {
	if group.Lag == 0 && group.EntriesRead == 0 {
		return -1
	}
	return group.Lag
}

func isNoSuchKey(err error) bool {
	var reply redis.Error
	return errors.As(err, &reply) && strings.Contains(reply.Error(), "no such key")
}

func (l *streamLook) conclude(*batch) (step, error) {
	depth := l.lag
	if l.next != nil {
		if err := failure(l.next); err != nil {
			return nil, err
		}
		for _, entry := range l.next.Val() {
			depth = max(depth, 1)
			l.heavy = l.heavy || size(entry) > heavyEntry
			l.addAge(entry.ID)
		}
	}
	l.result.Depth += max(0, depth)
	return nil, l.countTaken()
}

// addAge reads when an entry was made from its id, <ms since 1970>-<counter>.
func (l *streamLook) addAge(id string) {
	stamp, _, _ := strings.Cut(id, "-")
	if ms, err := strconv.ParseInt(stamp, 10, 64); err == nil {
		l.result.addOldest(l.clock.Val(), time.UnixMilli(ms))
	}
}

func size(entry redis.XMessage) (bytes int) {
	for field, value := range entry.Values {
		text, _ := value.(string)
		bytes += len(field) + len(text)
	}
	return bytes
}

// countTaken takes those for orphans that have been pending for as long as others may claim them, of the
// pending entries with the lowest ids. What was not looked at runs.
func (l *streamLook) countTaken() error {
	var orphans []string
	if l.pending != nil {
		if err := failure(l.pending); err != nil {
			return err
		}
		for _, entry := range l.pending.Val() {
			if entry.Idle >= l.claimIdle {
				orphans = append(orphans, entry.ID)
			}
		}
	}
	l.result.addOrphans(int64(len(orphans)), l.key, orphans...)
	l.result.InFlight += max(0, l.taken-int64(len(orphans)))
	return nil
}
