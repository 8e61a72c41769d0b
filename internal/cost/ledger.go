package cost

import "time"

// MaxGap is how long an observation holds if nothing new is observed. It is above the time between two
// reconciles of an object with which all is well, 10 minutes at most.
const MaxGap = 15 * time.Minute

// Running is an observation of a process type.
type Running struct {
	Quantity *int   // dynos that run, nil if unknown
	Size     string // of each of them
	AlwaysOn int    // dynos that would run all the time without scaling to zero
}

// Amounts are what dynos ran and what they cost. Saved means against running AlwaysOn dynos all the
// time: it falls while more than those run, and may be below zero.
type Amounts struct {
	UsedSeconds  float64 // dyno-seconds that ran
	SavedSeconds float64 // dyno-seconds that did not; with UsedSeconds, those of AlwaysOn
	UsedDollars  float64
	SavedDollars float64
	// UnpricedSeconds are the dyno-seconds, used and saved, that are in no dollars because the price of
	// their size is not known.
	UnpricedSeconds float64
	// UnknownSeconds are seconds, not dyno-seconds, in which the quantity was not known. They are in
	// no other amount.
	UnknownSeconds float64
}

func (a Amounts) plus(b Amounts) Amounts {
	return Amounts{
		UsedSeconds:     a.UsedSeconds + b.UsedSeconds,
		SavedSeconds:    a.SavedSeconds + b.SavedSeconds,
		UsedDollars:     a.UsedDollars + b.UsedDollars,
		SavedDollars:    a.SavedDollars + b.SavedDollars,
		UnpricedSeconds: a.UnpricedSeconds + b.UnpricedSeconds,
		UnknownSeconds:  a.UnknownSeconds + b.UnknownSeconds,
	}
}

// Totals are the amounts from Since to At.
type Totals struct {
	Since, At time.Time
	Amounts
	// Size is the size of all dynos in the amounts, or [SeveralSizes], or empty if there is none yet.
	Size string
}

// SeveralSizes is what [Totals] has for a size when it has changed.
const SeveralSizes = "several sizes"

// Ledger adds up what the dynos of one process type use and save. What an observation says holds until
// the next one, so a change counts from the observation that has it.
//
// A ledger can go on from the totals of an earlier one, such as those in a resource's status. What came
// after the earlier one's At is not known, and counts as that: a restart loses what passed since the
// totals were last written, and no more.
//
// A Ledger is not safe for concurrent use.
type Ledger struct {
	price  func(size string) (perSecond float64, known bool)
	totals Totals
	last   Running // since totals.At
}

// NewLedger returns a ledger that goes on from start, which is zero for a new one. It asks price for
// dollars a second, as [Prices.PerSecond] gives them, each time that dynos of a size have run.
func NewLedger(start Totals, price func(size string) (perSecond float64, known bool)) *Ledger {
	return &Ledger{price: price, totals: start}
}

// Totals returns the totals up to the latest observation.
func (l *Ledger) Totals() Totals { return l.totals }

// Observe takes an observation in and returns what came to the totals since the one before.
//
// If the clock was set back since then, nobody knows how much time has passed: nothing is counted, and
// the ledger goes on from now. More than [MaxGap] counts as unknown.
func (l *Ledger) Observe(now time.Time, r Running) Amounts {
	if l.totals.At.IsZero() {
		l.totals.Since, l.totals.At = now, now
	}
	added := l.amounts(now.Sub(l.totals.At))
	l.totals.Amounts = l.totals.plus(added)
	if added.UsedSeconds != 0 || added.SavedSeconds != 0 {
		l.totals.Size = joined(l.totals.Size, l.last.Size)
	}
	l.totals.At, l.last = now, r
	return added
}

// amounts are those of dt from the latest observation on.
func (l *Ledger) amounts(dt time.Duration) Amounts {
	switch {
	case dt <= 0:
		return Amounts{}
	case l.last.Quantity == nil || dt > MaxGap:
		return Amounts{UnknownSeconds: dt.Seconds()}
	}
	used := float64(*l.last.Quantity) * dt.Seconds()
	saved := float64(l.last.AlwaysOn-*l.last.Quantity) * dt.Seconds()
	price, known := l.price(l.last.Size)
	if !known {
		return Amounts{UsedSeconds: used, SavedSeconds: saved, UnpricedSeconds: used + saved}
	}
	return Amounts{UsedSeconds: used, SavedSeconds: saved, UsedDollars: used * price, SavedDollars: saved * price}
}

func joined(all, size string) string {
	if all == "" || all == size {
		return size
	}
	return SeveralSizes
}
