package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	eventsv1 "k8s.io/api/events/v1"

	"k8s.io/apimachinery/pkg/types"

	v1 "github.com/queuescaler/queuescaler/api/v1"
)

// entry is a line of the journal.
type entry struct {
	at     time.Time
	change string // 0 → 2
	text   string
	bad    bool
}

// journal tells what has changed from picture to picture, in the operator's words.
type journal struct {
	entries []entry

	quantity *int32
	why      string
	told     map[types.UID]bool
	change   *entry // a change of the quantity that waits for its event
	held     []entry
}

// eventPatience is how long a change of the quantity waits for the event that explains it. A repeated
// event may not be told again: Kubernetes counts such events in a series.
const eventPatience = 2 * time.Second

// take compares a picture with those before.
func (j *journal) take(p picture) {
	if now := p.status.Quantity; now != nil {
		if j.quantity != nil && *now != *j.quantity {
			j.settle(p, true)
			j.change = &entry{at: changedAt(p), change: fmt.Sprintf("%d → %d", *j.quantity, *now)}
		}
		j.quantity = now
	}
	if why := p.why(); why != "" && why != j.why {
		j.why = why
		j.add(entry{at: p.at, text: why})
	}
	for _, event := range p.events {
		if !isScale(event) && !j.told[event.UID] {
			j.add(entry{at: event.EventTime.Time, text: event.Reason + ": " + event.Note, bad: event.Type != "Normal"})
		}
		j.remember(event.UID)
	}
	j.settle(p, false)
}

func (j *journal) remember(id types.UID) {
	if j.told == nil {
		j.told = map[types.UID]bool{}
	}
	j.told[id] = true
}

// note adds what the demo itself has to say.
func (j *journal) note(at time.Time, text string) { j.add(entry{at: at, text: text}) }

// add keeps the order: what follows a change waits with it.
func (j *journal) add(e entry) {
	if j.change != nil {
		j.held = append(j.held, e)
	} else {
		j.entries = append(j.entries, e)
	}
}

// settle tells of a change as soon as its event explains it, or with the status's words after a while.
func (j *journal) settle(p picture, now bool) {
	if j.change == nil {
		return
	}
	text, found := explanation(p.events, j.change.at)
	if !found && !now && p.at.Sub(j.change.at) < eventPatience {
		return
	}
	if !found {
		text = p.why()
	}
	j.change.text = text
	j.entries = append(append(j.entries, *j.change), j.held...)
	j.change, j.held = nil, nil
}

// changedAt is when the operator changed the quantity, or when it was seen to be changed by others.
func changedAt(p picture) time.Time {
	if at := p.status.LastScaleTime; at != nil && p.at.Sub(at.Time) < 3*time.Second {
		return at.Time
	}
	return p.at
}

func isScale(e eventsv1.Event) bool {
	return e.Reason == v1.ReasonWoken || e.Reason == v1.ReasonStopped
}

// explanation is the reason in the note of the event that tells of a change at a time.
func explanation(events []eventsv1.Event, at time.Time) (string, bool) {
	for _, event := range slices.Backward(events) {
		// The status keeps whole seconds.
		if distance := event.EventTime.Sub(at); isScale(event) && distance > -time.Second && distance < 2*time.Second {
			if _, reason, ok := strings.Cut(event.Note, ": "); ok {
				return event.Reason + ": " + reason, true
			}
			return event.Note, true
		}
	}
	return "", false
}
