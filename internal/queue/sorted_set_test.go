package queue

import (
	"math"
	"testing"
	"time"
)

func TestSortedSet(t *testing.T) {
	const never = time.Duration(0)
	in := func(d time.Duration) func(time.Time) float64 {
		return func(now time.Time) float64 { return float64(now.Add(d).UnixMicro()) / 1e6 }
	}
	inMillis := func(d time.Duration) func(time.Time) float64 {
		return func(now time.Time) float64 { return float64(now.Add(d).UnixMilli()) }
	}
	score := func(n float64) func(time.Time) float64 { return func(time.Time) float64 { return n } }
	for name, test := range map[string]struct {
		scores       []func(time.Time) float64
		depth        int64
		due, latency time.Duration
	}{
		"empty":                     {nil, 0, never, never},
		"one is due":                {[]func(time.Time) float64{in(-time.Minute), in(time.Hour)}, 1, never, time.Minute},
		"none is":                   {[]func(time.Time) float64{in(time.Minute), in(time.Hour)}, 0, time.Minute, never},
		"one is due, milliseconds":  {[]func(time.Time) float64{inMillis(-time.Minute), inMillis(time.Hour)}, 1, never, time.Minute},
		"none is, milliseconds":     {[]func(time.Time) float64{inMillis(time.Minute)}, 0, time.Minute, never},
		"priorities":                {[]func(time.Time) float64{score(-5), score(1), score(10)}, 3, never, never},
		"at once, and milliseconds": {[]func(time.Time) float64{score(0), inMillis(time.Hour)}, 1, never, never},
		"for ever and never":        {[]func(time.Time) float64{score(math.Inf(-1)), score(math.Inf(1))}, 1, never, never},
	} {
		t.Run(name, func(t *testing.T) {
			client := sharedRedis(t)
			for i, score := range test.scores {
				do(t, client, cmd("zadd", "shop:jobs", score(now(t, client)), i))
			}
			o := observe(t, client, Spec{System: SortedSet, Names: []string{"jobs"}, KeyPrefix: "shop:", DueHorizon: 24 * time.Hour})
			if o.Depth != test.depth || o.InFlight != 0 || o.NextDue.IsZero() != (test.due == never) {
				t.Errorf("%+v", o)
			}
			if test.due != never {
				between(t, "the time until the next", o.NextDue.Sub(o.Start), test.due-5*time.Second, test.due)
			}
			if test.latency != never {
				between(t, "the age", o.Latency, test.latency, test.latency+5*time.Second)
			} else if o.Latency != 0 {
				t.Errorf("the age is %v", o.Latency)
			}
		})
	}
}

func TestSortedSetIgnoresWhatIsToCome(t *testing.T) {
	client := sharedRedis(t)
	do(t, client, cmd("zadd", "jobs", now(t, client).Add(time.Hour).Unix(), "a"))
	if o := observe(t, client, Spec{System: SortedSet, Names: []string{"jobs"}}); !o.NextDue.IsZero() {
		t.Errorf("%+v", o)
	}
}
