package controllers

import (
	"context"
	"strconv"
	"sync"
	"time"

	v1 "github.com/queuescaler/queuescaler/api/v1"
	"github.com/queuescaler/queuescaler/internal/cost"
	"github.com/queuescaler/queuescaler/internal/heroku"
)

const (
	// pricesPeriod is the time between two reads of Heroku's prices, and pricesRetry that after one
	// that failed: the list that is built in does until then.
	pricesPeriod = 24 * time.Hour
	pricesRetry  = time.Hour
)

// prices are those of dyno sizes, which are the same for all accounts.
type prices struct {
	mu      sync.Mutex
	known   cost.Prices
	next    time.Time
	reading bool
}

func (p *prices) perSecond(size string) (float64, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.known.PerSecond(size)
}

// refresh reads the prices with some token now and then.
func (p *prices) refresh(ctx context.Context, client *heroku.Client, now time.Time) {
	if !p.begin(now) {
		return
	}
	cents, err := client.DynoSizes(ctx)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.reading = false; ctx.Err() != nil {
		return // a job came: nothing was wrong
	}
	if p.next = now.Add(pricesRetry); err == nil {
		p.known, p.next = cost.NewPrices(cents), now.Add(pricesPeriod)
	}
}

// begin says whether it is time to read, and nobody else does.
func (p *prices) begin(now time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.reading || now.Before(p.next) {
		return false
	}
	p.reading = true
	return true
}

// reckon adds what passed since the last reconcile to what the dynos cost, and writes the totals.
func (s *scope) reckon() {
	running := cost.Running{Size: s.memory.size, AlwaysOn: int(s.object.Spec.ActiveQuantity)}
	if !s.memory.uncertain && !s.conflicting() {
		running.Quantity = s.memory.quantity
	}
	s.memory.ledger.Observe(s.now, running)
	s.object.Status.Savings = savingsOf(s.memory.ledger.Totals())
}

// savingsOf are the totals as the status keeps them.
func savingsOf(t cost.Totals) *v1.Savings {
	return &v1.Savings{
		Since:               timestamp(t.Since),
		ObservedTime:        timestamp(t.At),
		Summary:             t.Summary(),
		DynoSize:            t.Size,
		UsedDynoSeconds:     decimal(t.UsedSeconds),
		SavedDynoSeconds:    decimal(t.SavedSeconds),
		UsedDollars:         decimal(t.UsedDollars),
		SavedDollars:        decimal(t.SavedDollars),
		UnpricedDynoSeconds: decimal(t.UnpricedSeconds),
		UnknownSeconds:      decimal(t.UnknownSeconds),
	}
}

// totalsOf reads them back. What cannot be read begins at zero.
func totalsOf(s *v1.Savings) cost.Totals {
	if s == nil {
		return cost.Totals{}
	}
	return cost.Totals{
		Since: s.Since.Time, At: s.ObservedTime.Time, Size: s.DynoSize,
		Amounts: cost.Amounts{
			UsedSeconds:     number(s.UsedDynoSeconds),
			SavedSeconds:    number(s.SavedDynoSeconds),
			UsedDollars:     number(s.UsedDollars),
			SavedDollars:    number(s.SavedDollars),
			UnpricedSeconds: number(s.UnpricedDynoSeconds),
			UnknownSeconds:  number(s.UnknownSeconds),
		},
	}
}

// The API has no fractions: they stand there as decimal numbers in strings.
func decimal(x float64) string { return strconv.FormatFloat(x, 'f', 6, 64) }

func number(text string) float64 {
	x, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return 0
	}
	return x
}
