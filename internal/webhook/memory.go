package webhook

import (
	"slices"
	"time"
)

const (
	// maxResources is how many resources half of a memory holds.
	maxResources = 4096
	// maxDeliveries is how many deliveries of one second are told apart for one resource.
	maxDeliveries = 16
)

// memory knows the newest that was told of each resource. It holds what the latest 4096 to 8192
// resources told, and forgets older ones: then one of their old events may be told once more.
type memory struct {
	young, old map[resourceKey]newest
}

type resourceKey struct{ app, id string }

// newest is when a resource was last updated, and which deliveries have said so.
type newest struct {
	updatedAt  time.Time
	deliveries []string
}

// news reports whether a delivery is neither older than one before nor the same, and keeps it in mind
// if so. One without a time always is, for nothing proves that it is old.
func (m *memory) news(d delivery) bool {
	updated := d.event.UpdatedAt
	if updated.IsZero() {
		return true
	}
	key := resourceKey{d.event.AppID, d.resource}
	last := m.recall(key)
	switch {
	case updated.Before(last.updatedAt):
		return false
	case updated.After(last.updatedAt):
		last = newest{updatedAt: updated}
	case d.id != "" && slices.Contains(last.deliveries, d.id):
		return false
	}
	if d.id != "" {
		last.deliveries = append(last.deliveries, d.id)
		last.deliveries = last.deliveries[max(0, len(last.deliveries)-maxDeliveries):]
	}
	m.keep(key, last)
	return true
}

func (m *memory) recall(key resourceKey) newest {
	if last, ok := m.young[key]; ok {
		return last
	}
	return m.old[key]
}

// keep notes a resource among the young ones. When those are too many they become the old ones, in
// place of those that were.
func (m *memory) keep(key resourceKey, last newest) {
	if _, ok := m.young[key]; !ok && len(m.young) >= maxResources {
		m.old, m.young = m.young, nil
	}
	if m.young == nil {
		m.young = map[resourceKey]newest{}
	}
	m.young[key] = last
}
