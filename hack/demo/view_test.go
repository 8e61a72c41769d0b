package main

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1 "github.com/queuescaler/queuescaler/api/v1"
)

var noon = time.Date(2030, 1, 31, 12, 0, 0, 0, time.Local)

func busy() *view {
	depth, inFlight, two := 8, 4, int32(2)
	v := &view{name: "shop/shop-worker", target: "worker of shop-prod", quantity: 2, entries: []entry{
		{at: noon, text: "16 jobs of 3 s were enqueued in default"},
		{at: noon, change: "0 → 2", text: "Woken: jobs wait"},
		{at: noon.Add(time.Second), text: "kept at 2: jobs wait; zero 10 s after the queue falls idle"},
	}}
	v.remember(picture{
		at: noon.Add(3 * time.Second), counts: counts{&depth, &inFlight},
		status: v1.QueueScalerStatus{DesiredQuantity: &two, Quantity: &two, Conditions: []metav1.Condition{
			{Type: v1.ConditionReady, Status: metav1.ConditionTrue, Reason: v1.ReasonReady},
			{Type: v1.ConditionActive, Status: metav1.ConditionTrue, Message: "kept at 2: jobs wait; zero 10 s after the queue falls idle"},
		}},
		dynos: []dyno{{"worker.1", "up", noon}, {"worker.2", "starting", noon.Add(2 * time.Second)}},
	})
	v.depths, v.quantities = []int{-1, 0, 16, 12, 8}, []int{0, 0, 2, 2, 2}
	return v
}

func TestDraw(t *testing.T) {
	for width, want := range map[int]string{
		60: `
────────────────────────────────────────────────────────────
 shop/shop-worker scales worker of shop-prod

 DEPTH   IN FLIGHT   DESIRED   QUANTITY   READY
 8       4           2         2          Ready

 WHY  kept at 2: jobs wait; zero 10 s after the queue falls
      idle

 depth      ▁█▆▄
 quantity  ▁▁███

 DYNO         STATE       SINCE
 worker.1     ● up        3s
 worker.2     ● starting  1s

 TIME       CHANGE   WHAT HAPPENED, AND WHY
 12:00:00            16 jobs of 3 s were enqueued in default
 12:00:00   0 → 2    Woken: jobs wait
 12:00:01            kept at 2: jobs wait; zero 10 s after
                     the queue falls idle`,
		80: `
────────────────────────────────────────────────────────────────────────────────
 shop/shop-worker scales worker of shop-prod            Ctrl-C stops everything

 DEPTH   IN FLIGHT   DESIRED   QUANTITY   READY
 8       4           2         2          Ready

 WHY  kept at 2: jobs wait; zero 10 s after the queue falls idle

 depth      ▁█▆▄
 quantity  ▁▁███

 DYNO         STATE       SINCE
 worker.1     ● up        3s
 worker.2     ● starting  1s

 TIME       CHANGE   WHAT HAPPENED, AND WHY
 12:00:00            16 jobs of 3 s were enqueued in default
 12:00:00   0 → 2    Woken: jobs wait
 12:00:01            kept at 2: jobs wait; zero 10 s after the queue falls idle`,
	} {
		lines := busy().draw(width, 40, false)
		for i := range lines {
			lines[i] = strings.TrimRight(lines[i], " ")
		}
		if got := "\n" + strings.Join(lines, "\n"); got != want {
			t.Errorf("width %d: got%s\nwant%s", width, got, want)
		}
	}
}

// A line that is too long would wrap, and a region that is too high could not be drawn over.
func TestDrawFits(t *testing.T) {
	for _, width := range []int{44, 60, 80, 120, 200} {
		for _, height := range []int{2, 10, 24, 50} {
			for name, v := range map[string]*view{"busy": busy(), "unknown": {}} {
				lines := v.draw(width, height, false)
				if len(lines) >= height {
					t.Errorf("%s: %d lines in a terminal of %d", name, len(lines), height)
				}
				for _, line := range lines {
					if utf8.RuneCountInString(line) > width {
						t.Errorf("%s: width %d is exceeded: %q", name, width, line)
					}
				}
			}
		}
	}
}

func TestDrawTellsProblems(t *testing.T) {
	v := busy()
	v.picture.status.Conditions[0] = metav1.Condition{
		Type: v1.ConditionReady, Status: metav1.ConditionFalse, Reason: v1.ReasonRedisUnreachable, Message: "Redis does not answer",
	}
	v.picture.counts = counts{}
	text := strings.Join(v.draw(80, 40, true), "\n")
	for _, want := range []string{"\x1b[31mRedisUnreachable", "Redis does not answer", "–"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in\n%s", want, text)
		}
	}
}

func TestSpark(t *testing.T) {
	for want, values := range map[string][]int{
		"":      nil,
		"▁▁":    {0, 0},
		" ▁▂█":  {-1, 0, 1, 100},
		"▄█▁█▁": {9, 9, 9, 4, 8, 0, 8, 0},
	} {
		if got := spark(values, 5); got != want {
			t.Errorf("spark(%v) = %q, want %q", values, got, want)
		}
	}
}

func TestChanges(t *testing.T) {
	c, v := &changes{}, busy()
	if got := c.take(picture{at: noon}, nil); len(got) != 2 {
		t.Errorf("with nothing known got %q, want the heading", got)
	}
	got := strings.Join(c.take(v.picture, v.entries), "\n")
	want := `12:00:00             16 jobs of 3 s were enqueued in default
12:00:00    0 → 2    Woken: jobs wait
12:00:01             kept at 2: jobs wait; zero 10 s after the queue falls idle
12:00:03      8          4        2         2   worker.1 up, worker.2 starting`
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if got := c.take(v.picture, v.entries); got != nil {
		t.Errorf("the same again gives %q", got)
	}
}
