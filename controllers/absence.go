package controllers

import (
	"fmt"
	"slices"
	"strings"

	v1 "github.com/queuescaler/queuescaler/api/v1"
	"github.com/queuescaler/queuescaler/internal/queue"
)

// absence is the problem of queues that are not known to be there. A new app has them until its first
// job, so that time is given before somebody must act.
func (s *scope) absence() *problem {
	return &problem{reason: v1.ReasonQueueNotFound, class: missing, message: absenceMessage(s.object.Spec.Queue.Type, s.snapshot)}
}

func absenceMessage(system v1.QueueType, snapshot queue.Snapshot) string {
	var text strings.Builder
	switch absent := snapshot.Absent; {
	case slices.Equal(absent, []string{queue.AllQueues}):
		fmt.Fprintf(&text, "no queue of %s is known in this Redis", system)
	case len(absent) == 1:
		fmt.Fprintf(&text, "no %s queue %s is known in this Redis", system, quotedNames(absent))
	default:
		fmt.Fprintf(&text, "the %s queues %s are not known in this Redis", system, quotedNames(absent))
	}
	if len(snapshot.Existing) > 0 {
		fmt.Fprintf(&text, ", which has %s", quotedNames(snapshot.Existing))
	}
	text.WriteString("; workers are started but not stopped until it is: correct spec.queue (type, names, keyPrefix) or spec.redis, " +
		"wait for a first job, or set spec.queue.mayBeAbsent if the queue is there only while it holds jobs")
	if snapshot.Unasked != "" {
		fmt.Fprintf(&text, "; %s", snapshot.Unasked)
	}
	return text.String()
}

// quotedNames puts names into a message that may hold anything.
func quotedNames(names []string) string {
	quoted := make([]string, len(names))
	for i, name := range names {
		quoted[i] = brief(fmt.Sprintf("%q", name), mostOfName)
	}
	return listed(quoted)
}

// seen are the queues that were seen at the place, as the status has them.
func (s *scope) seen() []string {
	if known := s.object.Status.KnownQueues; known != nil && known.Place == s.place {
		return known.Names
	}
	return nil
}

// noteSeen writes down which queues were seen. What cannot be looked at stays as it was.
func (s *scope) noteSeen() {
	switch seen := s.snapshot.Seen; {
	case s.place == "" || !s.snapshot.Known():
	case len(seen) == 0:
		s.object.Status.KnownQueues = nil
	default:
		s.object.Status.KnownQueues = &v1.KnownQueues{Place: s.place, Names: slices.Clone(seen)}
	}
}
