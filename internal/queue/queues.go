package queue

import (
	"slices"
	"time"

	"github.com/redis/go-redis/v9"
)

// orphansNamed is how many orphans of a queue are told from others.
const orphansNamed = 25

// queues reads several queues of a job system side by side, each with a reader of its own, where no key
// tells of more than one.
type queues []reader

// eachQueue makes the reader of a spec's queues from that of one of them.
func eachQueue(newOne func(spec Spec, name string) reader) func(Spec) reader {
	return func(spec Spec) reader {
		all := make(queues, len(spec.Names))
		for i, name := range spec.Names {
			all[i] = newOne(spec, name)
		}
		return all
	}
}

func (q queues) watched() watchSet {
	var all watchSet
	for _, one := range q {
		set := one.watched()
		all.jobs, all.others = slices.Concat(all.jobs, set.jobs), slices.Concat(all.others, set.others)
		all.silent = all.silent || set.silent
	}
	return all
}

func (q queues) look(result *Observation) step {
	result.Processed = -1
	steps := make([]step, len(q))
	for i, one := range q {
		steps[i] = one.look(result)
	}
	return sideBySide(steps)
}

// sideBySide takes steps of several looks together, so that these share their round trips.
func sideBySide(steps []step) step {
	return func(b *batch) (step, error) {
		var next []step
		for _, s := range steps {
			following, err := s(b)
			if err != nil {
				return nil, err
			}
			if following != nil {
				next = append(next, following)
			}
		}
		if len(next) == 0 {
			return nil, nil
		}
		return sideBySide(next), nil
	}
}

// addLowest takes in when the first job of a sorted set by due time, in seconds since 1970, is due, at now,
// both by Redis's clock.
func (o *Observation) addLowest(now time.Time, lowest *redis.ZSliceCmd) error {
	for _, job := range lowest.Val() {
		o.addDue(now, timeOfScore(job.Score))
	}
	return failure(lowest)
}
