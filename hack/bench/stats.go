package main

import (
	"math"
	"slices"
	"time"
)

// distribution is a number of times that something took.
type distribution []time.Duration

// percentile is the smallest time that p percent of all do not exceed; 0 if there are none.
func (d distribution) percentile(p float64) time.Duration {
	if len(d) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(d))
	rank := int(math.Ceil(p / 100 * float64(len(sorted))))
	return sorted[min(max(rank, 1), len(sorted))-1]
}

func (d distribution) max() time.Duration { return d.percentile(100) }

// ratio is a/b; not a number for a b of 0.
func ratio(a, b time.Duration) float64 {
	if b == 0 {
		return math.NaN()
	}
	return float64(a) / float64(b)
}

// perSecond is the rate of a count in a time.
func perSecond[N int | int64 | float64](count N, in time.Duration) float64 {
	return float64(count) / in.Seconds()
}
