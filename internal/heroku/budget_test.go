package heroku

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// spent returns a budget with so many tokens left.
func spent(reserve float64, left int, now time.Time) *Budget {
	b := newBudget(reserve, now)
	b.left = float64(left)
	return b
}

func TestBudgetPriorities(t *testing.T) {
	now := time.Unix(0, 0)
	for _, test := range []struct {
		left    int
		allowed []Priority
	}{
		{4500, []Priority{Wake, Sleep, Drift, Rest}},
		{1802, []Priority{Wake, Sleep, Drift, Rest}}, // 900 + a quarter of 3600, and the token itself
		{1800, []Priority{Wake, Sleep}},
		{901, []Priority{Wake, Sleep}},
		{900, []Priority{Wake}},
		{1, []Priority{Wake}},
		{0, nil},
	} {
		var allowed []Priority
		for p := Wake; p <= Rest; p++ {
			if spent(0.2, test.left, now).take(p, "", now) == 0 {
				allowed = append(allowed, p)
			}
		}
		if fmt.Sprint(allowed) != fmt.Sprint(test.allowed) {
			t.Errorf("with %d left: %v may go, want %v", test.left, allowed, test.allowed)
		}
	}
}

func TestBudgetAfterARefusal(t *testing.T) {
	now := time.Unix(0, 0)
	b := newBudget(0, now)
	if b.take(Sleep, "a", now) != 0 {
		t.Fatal("a full budget lets nothing go")
	}
	b.answered(&answer{status: http.StatusTooManyRequests}, now)
	for _, p := range []Priority{Sleep, Drift, Rest} {
		if wait := b.take(p, "a", now); wait != refusedRest {
			t.Errorf("priority %d waits for %v, want %v", p, wait, refusedRest)
		}
	}
	wait := b.take(Wake, "w", now)
	if wait <= 0 || wait > longestAdvice {
		t.Errorf("a wake waits for %v", wait)
	}
	if wait := b.take(Wake, "w", now.Add(wait)); wait != 0 {
		t.Errorf("a wake waits for %v more when a token is back", wait)
	}
}

func TestWakesAreServedInTurn(t *testing.T) {
	now := time.Unix(0, 0)
	b := spent(0, 0, now)
	for _, id := range []string{"first", "second", "third"} {
		b.take(Wake, id, now)
	}
	now = now.Add(time.Second) // 1.25 tokens
	for _, test := range []struct {
		id   string
		goes bool
	}{{"third", false}, {"second", false}, {"fourth", false}, {"first", true}} {
		if goes := b.take(Wake, test.id, now) == 0; goes != test.goes {
			t.Errorf("%s goes: %v", test.id, goes)
		}
	}
	if b.take(Sleep, "s", now.Add(2*time.Second)) == 0 {
		t.Error("a stop goes before wakes that wait")
	}
	b.take(Wake, "third", now.Add(waiterPatience))
	if b.take(Wake, "fourth", now.Add(waiterPatience+2*time.Second)) == 0 {
		t.Log("enough for all")
	}
	if len(b.waiting) > 1 {
		t.Errorf("%v are waited for, who have given up", b.waiting)
	}
}

func TestMultiplier(t *testing.T) {
	now := time.Unix(0, 0)
	b := newBudget(0, now)
	b.take(Rest, "", now)
	b.answered(&answer{status: 200, remaining: new(8999), multiplier: 2}, now)
	if left, capacity := b.state(now.Add(time.Minute)); left != 9000 || capacity != 9000 {
		t.Errorf("%v of %v, want 9000 of 9000", left, capacity)
	}
}

func TestDriftPeriod(t *testing.T) {
	now := time.Unix(0, 0)
	const base = 5 * time.Minute
	for _, test := range []struct {
		apps, left int
		want       time.Duration
	}{
		{1, 4500, base},
		{100, 4500, base},
		{187, 4500, base},
		{300, 4500, 480 * time.Second},
		{1000, 4500, 1600 * time.Second},
		{300, 1125, 960 * time.Second},
		{300, 0, longestStretch * 480 * time.Second},
	} {
		b := spent(0.2, test.left, now)
		for i := range test.apps {
			b.uses(fmt.Sprint(i), now)
		}
		if got := b.driftPeriod(base, now).Round(time.Second); got != test.want {
			t.Errorf("%d apps, %d left: %v, want %v", test.apps, test.left, got, test.want)
		}
	}
}

// TestARefusalThatWasAnExceptionIsFoundOut has one call find out how much is left, and only one.
func TestARefusalThatWasAnExceptionIsFoundOut(t *testing.T) {
	now := time.Unix(0, 0)
	b := newBudget(0.2, now)
	b.take(Sleep, "a", now)
	b.answered(&answer{status: http.StatusTooManyRequests}, now)
	now = now.Add(refusedRest)
	if wait := b.take(Sleep, "a", now); wait != 0 {
		t.Fatalf("waits for %v", wait)
	}
	if b.take(Sleep, "b", now) == 0 {
		t.Error("a second call goes before the first is answered")
	}
	b.answered(&answer{status: 200, remaining: new(4000)}, now)
	if wait := b.take(Drift, "c", now); wait != 0 {
		t.Errorf("waits for %v with 4000 left", wait)
	}
}

// TestAppsOfLongAgoDoNotCount has an app leave, and a few others stay.
func TestAppsOfLongAgoDoNotCount(t *testing.T) {
	now := time.Unix(0, 0)
	b := newBudget(0, now)
	b.uses("gone", now)
	for range 8 {
		now = now.Add(time.Hour)
		b.uses("stays", now)
	}
	if len(b.apps) != 1 {
		t.Errorf("%d apps count", len(b.apps))
	}
}

// TestBudgetIsNotOverdrawn has any mix of calls leave what their priorities must leave, as long as
// nobody else spends.
func TestBudgetIsNotOverdrawn(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		now := time.Unix(0, 0)
		reserve := rapid.Float64Range(0, 0.9).Draw(t, "reserve")
		left := rapid.IntRange(0, 4500).Draw(t, "left")
		b := spent(reserve, left, now)
		tokens := float64(left)
		for range rapid.IntRange(1, 200).Draw(t, "calls") {
			step := time.Duration(rapid.IntRange(0, 5000).Draw(t, "ms")) * time.Millisecond
			now = now.Add(step)
			tokens = min(fullBudget, tokens+step.Seconds()*refillPerSecond)
			p := Priority(rapid.IntRange(0, 3).Draw(t, "priority"))
			if b.take(p, fmt.Sprint(rapid.IntRange(0, 5).Draw(t, "id")), now) > 0 {
				continue
			}
			if tokens--; tokens < b.floor(p)-0.001 {
				t.Fatalf("a call of priority %d leaves %v, must leave %v", p, tokens, b.floor(p))
			}
			if rapid.Bool().Draw(t, "told") {
				b.answered(&answer{status: 200, remaining: new(int(tokens))}, now)
				tokens = float64(int(tokens))
			} else {
				b.answered(&answer{}, now)
			}
		}
	})
}
