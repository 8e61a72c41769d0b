package queue

import (
	"math"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"
)

// Bounds of one look at a set of scheduled jobs. What does not fit is read at the next look.
const (
	firstPage = 25
	nextPage  = 200
	pages     = 6 // a look reads at most this many pages of a set, 1,025 jobs
)

// dueScan finds the earliest job of an owner in a sorted set of the scheduled jobs of all queues.
// Overdue jobs of others, whose workers may be off for good, can stand before it in any number: the
// scan goes past them in pages, over several looks if need be.
type dueScan struct {
	key string

	// Of the present look: the page asked for, where it starts, and how many were asked for.
	page      *redis.ZSliceCmd
	pageStart position
	pageSize  int
	asked     int

	// From look to look: where the last one stopped, zero for the end.
	left position
	// What the last whole scan found: the owner's next job, and until when the set is known (zero
	// for all of it). Nothing is known before the first.
	due, known time.Time
}

func newDueScan(key string) *dueScan { return &dueScan{key: key, known: timeOf(1)} }

// position is a place in a sorted set: after a member, which is the skip-th with its score. Zero is
// the beginning.
type position struct {
	score  float64
	skip   int
	member string
}

func (p position) from() string {
	if p == (position{}) {
		return "-inf"
	}
	return strconv.FormatFloat(p.score, 'g', -1, 64)
}

// begin asks for the head of the set, where an owner's job nearly always stands.
func (d *dueScan) begin(b *batch) {
	d.asked = 0
	d.askPage(b, position{}, firstPage)
}

// askPage asks for a page, and for the member before it, which tells whether the position holds.
func (d *dueScan) askPage(b *batch, at position, size int) {
	overlap := min(at.skip, 1)
	d.page, d.pageStart, d.pageSize = b.byScore(d.key, at.from(), at.skip-overlap, size+overlap), at, size
	d.asked++
}

// asking says whether the scan waits for a page.
func (d *dueScan) asking() bool { return d.page != nil }

// step takes in the page that was asked for and asks for the next if one is needed: one that may
// hold a job due before the horizon.
func (d *dueScan) step(b *batch, horizon time.Time, mine func(payload string) bool) error {
	if d.page == nil {
		return nil
	}
	page := d.page
	d.page = nil
	if err := failure(page); err != nil {
		return err
	}
	members, ok := d.pageStart.rest(page.Val())
	if !ok {
		d.left = position{} // the set moved under the scan, which begins again at the next look
		return nil
	}
	end := d.pageStart
	for _, member := range members {
		payload, _ := member.Member.(string)
		if mine(payload) {
			d.finish(timeOfScore(member.Score), time.Time{})
			return nil
		}
		end = end.after(member.Score, payload)
	}
	switch {
	case len(members) < d.pageSize:
		d.finish(time.Time{}, time.Time{})
	case timeOfScore(end.score).After(horizon):
		d.finish(time.Time{}, timeOfScore(end.score))
	case d.asked == pages:
		d.left = end
	default:
		d.askPage(b, d.next(end), nextPage)
	}
	return nil
}

// next is where to read on after a page: from the head's end to where the last look stopped.
func (d *dueScan) next(end position) position {
	if d.asked == 1 && end.before(d.left) {
		return d.left
	}
	return end
}

// before compares places in a set.
func (p position) before(other position) bool {
	return p.score < other.score || (p.score == other.score && p.skip < other.skip)
}

// after moves the position past a member.
func (p position) after(score float64, member string) position {
	if p.score == score {
		return position{score, p.skip + 1, member}
	}
	return position{score, 1, member}
}

// rest is what follows the position in a page that begins with the member before it. It is not ok if
// another member stands there: some that came before were added or removed.
func (p position) rest(page []redis.Z) (rest []redis.Z, ok bool) {
	if p.skip == 0 {
		return page, true
	}
	if len(page) == 0 || page[0].Member != p.member {
		return nil, false
	}
	return page[1:], true
}

func (d *dueScan) finish(due, known time.Time) {
	d.due, d.known, d.left = due, known, position{}
}

// timeOfScore makes a time of a score, which a hostile member may have set to anything.
func timeOfScore(score float64) time.Time {
	if math.IsNaN(score) {
		score = 0
	}
	return timeOf(math.Min(math.Max(score, 1), farthest))
}
