package queue

import (
	"context"
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"pgregory.net/rapid"
)

// schedule adds count jobs of a queue, the nth at first + n·step of now.
func schedule(t testing.TB, client *redis.Client, key, queue string, count int, first, step time.Duration) {
	t.Helper()
	start := float64(now(t, client).UnixMicro()) / 1e6
	pipe := client.Pipeline()
	for i := range count {
		due := start + (first + time.Duration(i)*step).Seconds()
		pipe.ZAdd(context.Background(), key, redis.Z{Score: due, Member: fmt.Sprintf(`{"jid":"%06d","queue":%q}`, i, queue)})
	}
	if _, err := pipe.Exec(context.Background()); err != nil {
		t.Fatal(err)
	}
}

// looksUntil looks until the scheduled jobs are known as far as want says, and counts the looks.
func looksUntil(t *testing.T, o *observer, most int, done func(Observation) bool) (Observation, int) {
	t.Helper()
	for n := 1; ; n++ {
		seen, err := o.look()
		if err != nil {
			t.Fatal(err)
		}
		if done(seen) {
			return seen, n
		}
		if n == most {
			t.Fatalf("after %d looks: next due %v, known until %v", n, seen.NextDue, seen.DueKnownUntil)
		}
	}
}

func found(o Observation) bool { return !o.NextDue.IsZero() }

// allKnown says that no job of the owner is due within the horizon.
func allKnown(o Observation) bool {
	return o.NextDue.IsZero() && (o.DueKnownUntil.IsZero() || o.DueKnownUntil.After(o.Start))
}

func TestDueBehindOthers(t *testing.T) {
	for name, test := range map[string]struct {
		count int
		step  time.Duration
		mine  time.Duration
		looks int
	}{
		"one page":                     {24, time.Second, 0, 1},
		"just past the head":           {25, time.Second, 0, 1},
		"several pages":                {1000, time.Second, 0, 1},
		"several looks":                {5000, time.Second, 0, 5},
		"equal scores, several looks":  {5000, 0, time.Second, 5},
		"equal scores, and mine too":   {5000, 0, 0, 5},
		"equal scores, exactly a page": {firstPage + nextPage, 0, time.Second, 1},
	} {
		for _, key := range []string{"schedule", "retry"} {
			t.Run(name+"/"+key, func(t *testing.T) {
				client := sharedRedis(t)
				schedule(t, client, key, "others", test.count, -3*time.Hour, test.step)
				last, err := client.ZRangeWithScores(context.Background(), key, -1, -1).Result()
				if err != nil {
					t.Fatal(err)
				}
				score := last[0].Score + test.mine.Seconds()
				do(t, client, cmd("zadd", key, score, `{"jid":"zzz","queue":"default"}`))
				o, looks := looksUntil(t, newObserver(t, client, mine), 10, found)
				if looks != test.looks {
					t.Errorf("found at look %d, want %d", looks, test.looks)
				}
				if off := o.NextDue.Sub(timeOf(score)).Abs(); off > o.End.Sub(o.Start)+time.Millisecond {
					t.Errorf("off by %v", off)
				}
			})
		}
	}
}

// TestDueUnknownUntilScanned has nothing mine, far down: not known before all is read.
func TestDueUnknownUntilScanned(t *testing.T) {
	client := sharedRedis(t)
	schedule(t, client, "schedule", "others", 3000, -2*time.Hour, 0)
	o, looks := looksUntil(t, newObserver(t, client, mine), 10, allKnown)
	if looks != 3 || !o.DueKnownUntil.IsZero() {
		t.Errorf("known after %d looks until %v", looks, o.DueKnownUntil)
	}
}

// TestDueHorizon has others' jobs beyond the horizon: the scan ends there, and says so.
func TestDueHorizon(t *testing.T) {
	client := sharedRedis(t)
	schedule(t, client, "schedule", "others", 500, 50*time.Minute, time.Minute)
	schedule(t, client, "schedule", "default", 1, 100*time.Hour, 0)
	o := observe(t, client, mine)
	if !o.NextDue.IsZero() || o.DueKnownUntil.Before(o.Start.Add(mine.DueHorizon)) || o.DueKnownUntil.After(o.Start.Add(75*time.Minute)) {
		t.Errorf("next due %v, known until %v, at %v", o.NextDue, o.DueKnownUntil, o.Start)
	}
	schedule(t, client, "retry", "default", 1, 70*time.Minute, 0)
	if o = observe(t, client, mine); o.NextDue.IsZero() || o.DueKnownUntil.IsZero() {
		t.Errorf("next due %v, known until %v", o.NextDue, o.DueKnownUntil)
	}
}

// TestDueWhileOthersVanish takes entries away between the looks of a scan, so that mine comes to stand
// where the scan has been already.
func TestDueWhileOthersVanish(t *testing.T) {
	for name, step := range map[string]time.Duration{"equal scores": 0, "different scores": time.Millisecond} {
		t.Run(name, func(t *testing.T) {
			client := sharedRedis(t)
			schedule(t, client, "schedule", "others", 4000, -2*time.Hour, step)
			entry, err := client.ZRangeWithScores(context.Background(), "schedule", 1500, 1500).Result()
			if err != nil {
				t.Fatal(err)
			}
			do(t, client, cmd("zadd", "schedule", entry[0].Score, `{"jid":"001500+","queue":"default"}`))
			observer := newObserver(t, client, mine)
			if o, lookErr := observer.look(); lookErr != nil || found(o) || allKnown(o) {
				t.Fatalf("%+v, %v", o, lookErr)
			}
			do(t, client, cmd("zremrangebyrank", "schedule", 0, 1100))
			if o, _ := looksUntil(t, observer, 6, func(o Observation) bool { return found(o) || allKnown(o) }); !found(o) {
				t.Error("mine was passed over")
			}
			do(t, client, cmd("del", "schedule"))
			looksUntil(t, observer, 1, allKnown)
		})
	}
}

// TestDueAfterTheLastOneRead takes away the very entry at which a look stopped.
func TestDueAfterTheLastOneRead(t *testing.T) {
	client := sharedRedis(t)
	const oneLook = firstPage + (pages-1)*nextPage
	schedule(t, client, "schedule", "others", oneLook, -2*time.Hour, time.Second)
	schedule(t, client, "schedule", "default", 1, -time.Hour, 0)
	observer := newObserver(t, client, mine)
	if o, err := observer.look(); err != nil || found(o) || allKnown(o) {
		t.Fatalf("%+v, %v", o, err)
	}
	do(t, client, cmd("zremrangebyrank", "schedule", oneLook-1, oneLook-1))
	if o, _ := looksUntil(t, observer, 6, func(o Observation) bool { return found(o) || allKnown(o) }); !found(o) {
		t.Error("mine was passed over")
	}
}

// TestDueProperty compares the scan with a plain search of the whole set, while the set changes.
func TestDueProperty(t *testing.T) {
	client := sharedRedis(t)
	ctx := context.Background()
	rapid.Check(t, func(r *rapid.T) {
		client.FlushAll(ctx)
		observer := newObserver(t, client, mine)
		for range rapid.IntRange(1, 3).Draw(r, "changes") {
			change(r, client)
			var seen Observation
			for range 8 {
				var err *Error
				if seen, err = observer.look(); err != nil {
					r.Fatal(err)
				}
			}
			want := bruteForce(r, client)
			horizon := seen.End.Add(mine.DueHorizon)
			switch {
			case want.IsZero() || want.After(horizon):
				if !seen.NextDue.IsZero() && seen.NextDue.Before(horizon.Add(-time.Minute)) {
					r.Fatalf("found %v, there is none within the horizon", seen.NextDue)
				}
				if !seen.DueKnownUntil.IsZero() && seen.DueKnownUntil.Before(seen.Start.Add(mine.DueHorizon)) {
					r.Fatalf("known only until %v", seen.DueKnownUntil)
				}
			case seen.NextDue.Sub(want).Abs() > time.Second:
				r.Fatalf("found %v, want %v", seen.NextDue, want)
			}
		}
	})
}

// change adds some runs of jobs, of which some share a score, or removes some.
func change(r *rapid.T, client *redis.Client) {
	ctx := context.Background()
	start := float64(time.Now().Unix())
	pipe := client.Pipeline()
	for i := range rapid.IntRange(0, 3).Draw(r, "runs") {
		queue := rapid.SampledFrom([]string{"others", "others", "default"}).Draw(r, "queue")
		count := rapid.SampledFrom([]int{1, 24, 25, 26, 225, 400, 1100}).Draw(r, "count")
		if queue == "default" {
			count = 1
		}
		score := start + float64(rapid.IntRange(-20, 20).Draw(r, "ten minutes")*600)
		step := rapid.SampledFrom([]float64{0, 0, 0.25}).Draw(r, "step")
		for n := range count {
			pipe.ZAdd(ctx, "schedule", redis.Z{Score: score + float64(n)*step, Member: fmt.Sprintf(`{"queue":%q,"jid":"%d-%f-%d"}`, queue, i, score, n)})
		}
	}
	if rapid.Bool().Draw(r, "remove") {
		pipe.ZRemRangeByRank(ctx, "schedule", int64(rapid.IntRange(0, 50).Draw(r, "from")), int64(rapid.IntRange(0, 600).Draw(r, "to")))
	}
	_, _ = pipe.Exec(ctx)
}

func bruteForce(r *rapid.T, client *redis.Client) time.Time {
	members, err := client.ZRangeWithScores(context.Background(), "schedule", 0, -1).Result()
	if err != nil {
		r.Fatal(err)
	}
	for _, member := range members {
		if queue, ok := queueOf(member.Member.(string)); ok && queue == "default" {
			return timeOf(member.Score)
		}
	}
	return time.Time{}
}

func TestTimeOfScore(t *testing.T) {
	for _, score := range []float64{math.NaN(), math.Inf(-1), -1, 0, 1} {
		if got := timeOfScore(score); got.IsZero() || got.Unix() != 1 {
			t.Errorf("%v: %v", score, got)
		}
	}
	for _, score := range []float64{math.Inf(1), 1e300, 1e12} {
		if got := timeOfScore(score); got.Unix() != farthest {
			t.Errorf("%v: %v", score, got)
		}
	}
}

func TestTimeOf(t *testing.T) {
	for stamp, want := range map[float64]time.Time{
		1795475836.5:  time.UnixMilli(1795475836500),
		1795475836500: time.UnixMilli(1795475836500),
		1e300:         time.Unix(farthest, 0),
	} {
		if got := timeOf(stamp); !got.Equal(want) {
			t.Errorf("%v: got %v, want %v", stamp, got, want)
		}
	}
}
