package queue

import (
	"fmt"
	"slices"
	"time"
)

// System is a job system.
type System string

// Job systems.
const (
	Sidekiq   System = "Sidekiq"
	List      System = "List"
	SortedSet System = "SortedSet"
	Stream    System = "Stream"
	BullMQ    System = "BullMQ"
	Bull      System = "Bull"
	Asynq     System = "Asynq"
	RQ        System = "RQ"
	Celery    System = "Celery"
	Resque    System = "Resque"
)

// LeastIdle is the shortest idle spell after which workers may be stopped: longer, by far, than a job
// that was taken can be nowhere to be seen. In RQ 1.13 that is 80 ms, in Celery 3 ms, in Resque 0.4 ms,
// and none of them has heartbeats that would show it. Zero where heartbeats do, or there is no such gap.
func (s System) LeastIdle() time.Duration {
	switch s {
	case RQ, Celery, Resque:
		return 5 * time.Second
	}
	return 0
}

// Spec says which queues an owner wants to know of.
type Spec struct {
	System System
	// Names of the queues; empty means all, where the job system lists its queues.
	Names []string
	// KeyPrefix goes in front of every key, literally; empty for the job system's own default.
	KeyPrefix string
	// ProcessingKeys are the lists that workers of a List move their jobs to.
	ProcessingKeys []string
	// Group is the consumer group that the workers of a Stream belong to.
	Group string
	// ClaimIdle is how long an entry of a Stream has been pending when others claim it, and the
	// visibility timeout of Celery; 0 if never, or not known.
	ClaimIdle time.Duration

	// MayBeAbsent says that a queue of which Redis shows nothing is empty.
	MayBeAbsent bool
	// Seen are queues that were seen there before, of an owner that is new to its Hub.
	Seen []string

	// EarlyAck says that workers of Celery acknowledge a task before they run it.
	EarlyAck bool

	// ProcessType is the Heroku process type that is scaled: all jobs of its dynos count as in flight.
	ProcessType string
	// DueHorizon is how far ahead scheduled jobs matter; 0 leaves them unread.
	DueHorizon time.Duration

	// Period is the time between two reads.
	Period time.Duration
}

// equal says whether two specs ask for the same, in the same way. What was seen before matters to an
// owner that is new.
func (s Spec) equal(other Spec) bool {
	return slices.Equal(s.Names, other.Names) && slices.Equal(s.ProcessingKeys, other.ProcessingKeys) &&
		s.System == other.System && s.KeyPrefix == other.KeyPrefix && s.ProcessType == other.ProcessType &&
		s.Group == other.Group && s.MayBeAbsent == other.MayBeAbsent && s.ClaimIdle == other.ClaimIdle && s.EarlyAck == other.EarlyAck &&
		s.DueHorizon == other.DueHorizon && s.Period == other.Period
}

// blind reports whether Redis does not show which jobs run: that one was pushed or taken is all there is to
// see of a job.
func (s Spec) blind() bool {
	switch s.System {
	case List:
		return len(s.ProcessingKeys) == 0
	case SortedSet:
		return true
	case Celery:
		return s.EarlyAck
	}
	return false
}

// reader reads one owner's queues, and remembers from one look to the next what it must.
type reader interface {
	// watched are the keys where a write may change what a look finds.
	watched() watchSet
	// look begins an observation. The result is complete when the last step has run.
	look(result *Observation) step
}

// step adds the commands of the next round trip to the batch, having read the replies to those of
// the one before. It returns the step after that, or nil when it added none.
type step func(b *batch) (step, error)

// readers makes the reader of each job system.
var readers = map[System]func(Spec) reader{
	Sidekiq:   newSidekiq,
	List:      newList,
	SortedSet: eachQueue(newSortedSet),
	Stream:    eachQueue(newStream),
	BullMQ:    eachQueue(newBullMQ),
	Bull:      eachQueue(newBull),
	Asynq:     eachQueue(newAsynq),
	RQ:        eachQueue(newRQ),
	Celery:    newCelery,
	Resque:    newResque,
}

// presences are how each job system shows that a queue is there.
var presences = map[System]presence{
	Sidekiq:   sidekiqPresence,
	List:      listPresence,
	SortedSet: sortedSetPresence,
	Stream:    streamPresence,
	BullMQ:    bullmqPresence,
	Bull:      bullPresence,
	Asynq:     asynqPresence,
	RQ:        rqPresence,
	Celery:    celeryPresence,
	Resque:    resquePresence,
}

func newReader(spec Spec) (reader, error) {
	make, ok := readers[spec.System]
	presence, shown := presences[spec.System]
	if !ok || !shown {
		return nil, fmt.Errorf("queue: unknown job system %q", spec.System)
	}
	if spec.MayBeAbsent {
		return make(spec), nil
	}
	return &knowing{make(spec), newKnown(spec, presence)}, nil
}
