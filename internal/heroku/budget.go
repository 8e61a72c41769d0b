package heroku

import (
	"maps"
	"math"
	"net/http"
	"slices"
	"sync"
	"time"
)

// Priority says which calls go first when the rate budget of an account runs low.
type Priority int

// From the first that goes to the last.
const (
	// Wake starts dynos for work that waits, or reads what that needs.
	Wake Priority = iota
	// Sleep stops dynos.
	Sleep
	// Drift looks for what somebody else has changed.
	Drift
	// Rest is everything else.
	Rest
)

// What an account may ask of the Platform API, all its tokens together
// (devcenter.heroku.com/articles/platform-api-reference#rate-limits). Ratelimit-Multiplier is taken for
// a factor of both.
const (
	fullBudget      = 4500.0
	refillPerSecond = 75.0 / 60
)

const (
	// driftShare is the part of the hourly refill that looking for drift may take.
	driftShare = 0.5
	// driftFloor is how much of what is above the reserve must be left for drift and the rest.
	driftFloor = 0.25
	// longestStretch is how much rarer than that drift is looked for when little is left.
	longestStretch = 4
	// refusedRest is how long all but wakes rest after a 429.
	refusedRest = 30 * time.Second
	// longestAdvice bounds the wait of a wake that is advised, and restAdvice that of all else: others
	// may spend less than was expected.
	longestAdvice = 2 * time.Second
	restAdvice    = time.Minute
	// waiterPatience is when a wake that does not ask again is no longer waited for.
	waiterPatience = 4 * longestAdvice
	// appPatience is how long an app counts that is not asked about any more, give or take prunePeriod.
	appPatience = 6 * time.Hour
	prunePeriod = time.Hour
)

// Budget is the rate budget of one account, as far as answers tell of it: other tokens, people and
// programs of the account spend it too. It is safe for concurrent use.
type Budget struct {
	reserve float64 // the share of the capacity that is kept for people

	mu         sync.Mutex
	multiplier float64
	left       float64 // tokens at the time at
	at         time.Time
	inFlight   int // requests without an answer yet
	// restUntil is when all but wakes may go again after a 429. The first of them finds out how much
	// is left, which may be more than what was refilled since: unsure says that it has yet to.
	restUntil time.Time
	unsure    bool
	waiting   []waiter // wakes that were told to wait, the first one first
	// apps are those looked at, and when; prunedAt is when those of long ago were last dropped.
	apps     map[string]time.Time
	prunedAt time.Time
}

type waiter struct {
	id   string
	seen time.Time
}

// newBudget returns a budget that is taken for full. A share of it, from 0 to 1, is kept for people.
func newBudget(reserve float64, now time.Time) *Budget {
	return &Budget{reserve: reserve, multiplier: 1, left: fullBudget, at: now, apps: map[string]time.Time{}, prunedAt: now}
}

// take takes a token for a call, or says how long to wait before asking again. Wakes are served in the
// order in which they first asked, and all else after them. The id tells one caller from another.
func (b *Budget) take(p Priority, id string, now time.Time) (wait time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.forget(now)
	before := len(b.waiting)
	if p == Wake {
		before = b.place(id)
	} else if rest := b.restUntil.Sub(now); rest > 0 {
		return rest
	}
	missing := b.floor(p) + float64(before+1) - b.available(now)
	if missing <= 0 || (b.unsure && before == 0 && p != Wake) {
		b.unsure = false
		b.waiting = slices.DeleteFunc(b.waiting, func(w waiter) bool { return w.id == id })
		b.inFlight++
		return 0
	}
	wait = time.Duration(math.Ceil(1000*missing/b.refill())) * time.Millisecond
	if p == Wake {
		b.queue(id, now)
		return min(wait, longestAdvice)
	}
	return min(wait, restAdvice)
}

// answered takes in what came back of a request for which a token was taken.
func (b *Budget) answered(a *answer, now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	left := b.available(now) // less the token that the request took
	b.inFlight--
	if a.multiplier > 0 {
		b.multiplier = a.multiplier
	}
	switch {
	case a.status == http.StatusTooManyRequests:
		left, b.unsure = 0, true
		b.restUntil = now.Add(max(refusedRest, a.retryAfter))
	case a.remaining != nil:
		left = float64(*a.remaining)
	default:
		left += float64(b.inFlight)
	}
	b.left, b.at = left, now
}

// uses notes that an app's formation is looked at with this budget.
func (b *Budget) uses(app string, now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.apps[app] = now
	if now.Sub(b.prunedAt) >= prunePeriod {
		b.prunedAt = now
		maps.DeleteFunc(b.apps, func(_ string, seen time.Time) bool { return now.Sub(seen) > appPatience })
	}
}

// driftPeriod is the time between two looks at an app's formation, at least base: all apps together
// take driftShare of what is refilled, and less when little is left.
func (b *Budget) driftPeriod(base time.Duration, now time.Time) time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	fair := time.Duration(float64(len(b.apps)) / (driftShare * b.refill()) * float64(time.Second))
	spare := max(0, b.available(now)) / b.capacity()
	stretch := min(longestStretch, max(1, driftShare/max(spare, 0.01)))
	return time.Duration(float64(max(base, fair)) * stretch)
}

// state is how many requests the account should have left, of how many at most.
func (b *Budget) state(now time.Time) (left, capacity float64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return max(0, b.available(now)), b.capacity()
}

func (b *Budget) capacity() float64 { return fullBudget * b.multiplier }
func (b *Budget) refill() float64   { return refillPerSecond * b.multiplier }

// available is how many tokens there should be, less those that requests on their way take.
func (b *Budget) available(now time.Time) float64 {
	refilled := b.left + now.Sub(b.at).Seconds()*b.refill()
	return min(refilled, b.capacity()) - float64(b.inFlight)
}

// floor is how many tokens a call must leave.
func (b *Budget) floor(p Priority) float64 {
	kept := b.reserve * b.capacity()
	switch p {
	case Wake:
		return 0
	case Sleep:
		return kept
	default:
		return kept + driftFloor*(b.capacity()-kept)
	}
}

// place is how many wakes are before this one.
func (b *Budget) place(id string) int {
	if i := slices.IndexFunc(b.waiting, func(w waiter) bool { return w.id == id }); i >= 0 {
		return i
	}
	return len(b.waiting)
}

// queue makes a wake wait, or notes that it still does.
func (b *Budget) queue(id string, now time.Time) {
	if i := b.place(id); i < len(b.waiting) {
		b.waiting[i].seen = now
		return
	}
	b.waiting = append(b.waiting, waiter{id, now})
}

// forget drops the wakes that have not asked again, since nothing waits for them any more.
func (b *Budget) forget(now time.Time) {
	b.waiting = slices.DeleteFunc(b.waiting, func(w waiter) bool { return now.Sub(w.seen) > waiterPatience })
}
