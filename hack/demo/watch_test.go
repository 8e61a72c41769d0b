package main

import (
	"strings"
	"testing"
	"time"

	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	v1 "github.com/queuescaler/queuescaler/api/v1"
)

func TestParseCounts(t *testing.T) {
	const text = `# HELP queuescaler_queue_depth Jobs waiting.
# TYPE queuescaler_queue_depth gauge
queuescaler_queue_depth{name="other",namespace="shop"} 7
queuescaler_queue_depth{name="shop-worker",namespace="shop"} 1.2e+02
# HELP queuescaler_queue_in_flight Jobs taken and not finished, as far as Redis shows them.
# TYPE queuescaler_queue_in_flight gauge
queuescaler_queue_in_flight{name="shop-worker",namespace="elsewhere"} 3
# TYPE workqueue_depth gauge
workqueue_depth{controller="queuescaler"} 0
`
	got, err := parseCounts(strings.NewReader(text), "shop", "shop-worker")
	if err != nil {
		t.Fatal(err)
	}
	if got.depth == nil || *got.depth != 120 || got.inFlight != nil {
		t.Errorf("got depth %s and in flight %s, want 120 and unknown", number(got.depth), number(got.inFlight))
	}
	if _, err := parseCounts(strings.NewReader("<html>"), "shop", "shop-worker"); err == nil {
		t.Error("a page that holds no metrics is accepted")
	}
}

func seen(at time.Time, quantity int32, why string, scaled time.Time, events ...eventsv1.Event) picture {
	p := picture{at: at, events: events, status: v1.QueueScalerStatus{
		Quantity:   &quantity,
		Conditions: []metav1.Condition{{Type: v1.ConditionActive, Message: why}},
	}}
	if !scaled.IsZero() {
		p.status.LastScaleTime = &metav1.Time{Time: scaled}
	}
	return p
}

func event(id string, at time.Time, action, reason, note string) eventsv1.Event {
	return eventsv1.Event{
		ObjectMeta: metav1.ObjectMeta{UID: types.UID(id)}, EventTime: metav1.NewMicroTime(at),
		Type: "Normal", Action: action, Reason: reason, Note: note,
	}
}

func (j *journal) text() string {
	var text strings.Builder
	for _, e := range j.entries {
		text.WriteString(strings.Join(strings.Fields(e.at.Format("05")+" "+e.change+" "+e.text), " ") + "\n")
	}
	return text.String()
}

// A change waits for its event, and what follows it waits too. A repeated change, whose event only
// counts up, is told with the status's words.
func TestJournal(t *testing.T) {
	at := func(seconds float64) time.Time { return noon.Add(time.Duration(seconds * float64(time.Second))) }
	woken := event("1", at(2.1), "Scale", "Woken", "scaled worker from 0 to 2: jobs wait")
	quiet := event("2", at(4), "Observe", "WorkersNotHeard", "jobs wait, and no worker process was heard")
	quiet.Type = "Warning"
	stopped := event("3", at(30.5), "Scale", "Stopped", "scaled worker from 2 to 0: the queue was idle for the whole idle timeout")
	var j journal
	j.take(seen(at(1), 0, "idle", time.Time{}))
	j.take(seen(at(3), 2, "kept at 2", at(2)))
	j.take(seen(at(3.5), 2, "kept at 2", at(2), woken))
	j.take(seen(at(4.5), 2, "kept at 2", at(2), woken, quiet))
	j.take(seen(at(31), 0, "idle", at(30), woken, quiet, stopped))
	j.take(seen(at(41), 2, "kept at 2", at(40), woken, quiet, stopped))
	j.take(seen(at(42.5), 2, "kept at 2", at(40), woken, quiet, stopped))
	want := `01 idle
02 0 → 2 Woken: jobs wait
03 kept at 2
04 WorkersNotHeard: jobs wait, and no worker process was heard
30 2 → 0 Stopped: the queue was idle for the whole idle timeout
31 idle
40 0 → 2 kept at 2
41 kept at 2
`
	if got := j.text(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// A quantity that somebody else changed has no scale time of its own.
func TestJournalOfDrift(t *testing.T) {
	var j journal
	j.take(seen(noon, 2, "kept at 2", noon.Add(-time.Minute)))
	j.take(seen(noon.Add(10*time.Second), 5, "kept at 5", noon.Add(-time.Minute)))
	j.take(seen(noon.Add(13*time.Second), 5, "kept at 5", noon.Add(-time.Minute)))
	want := "00 kept at 2\n10 2 → 5 kept at 5\n10 kept at 5\n"
	if got := j.text(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}
