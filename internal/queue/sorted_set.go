package queue

import (
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"
)

// sortedSet reads a sorted set of jobs, by the time from when on workers may take them: seconds or
// milliseconds since 1970. Low scores, such as priorities, are past. Redis does not show which jobs run.
type sortedSet struct {
	key string
	due bool // jobs whose time is to come matter
}

func newSortedSet(spec Spec, name string) reader {
	return &sortedSet{key: spec.KeyPrefix + name, due: spec.DueHorizon > 0}
}

func (s *sortedSet) watched() watchSet { return watchSet{jobs: []string{s.key}, silent: true} }

func (s *sortedSet) look(result *Observation) step {
	return func(b *batch) (step, error) {
		clock, first := b.time(), b.lowest(s.key)
		return func(b *batch) (step, error) {
			if err := firstFailure(clock, first); err != nil {
				return nil, err
			}
			return s.askDepth(b, result, clock.Val(), first.Val()), nil
		}, nil
	}
}

// askDepth counts the jobs whose time has come. In which unit the scores are the first of them tells: if
// it is low and the others are not, there is work anyhow.
func (s *sortedSet) askDepth(b *batch, result *Observation, now time.Time, first []redis.Z) step {
	if len(first) == 0 {
		return nil
	}
	lowest, limit := first[0].Score, now.Unix()
	if lowest > farthest {
		lowest, limit = lowest/1000, now.UnixMilli()
	}
	depth := b.upTo(s.key, strconv.FormatInt(limit, 10))
	return func(*batch) (step, error) {
		if err := failure(depth); err != nil {
			return nil, err
		}
		result.Depth += depth.Val()
		switch {
		case depth.Val() == 0 && s.due:
			result.addDue(now, timeOfScore(lowest))
		case depth.Val() > 0 && lowest > earliestDue:
			result.addOldest(now, timeOfScore(lowest))
		}
		return nil, nil
	}
}

// sortedSetPresence: a sorted set is there only while it has jobs.
var sortedSetPresence = presence{
	signs: func(b *batch, spec Spec, name string) []evidence {
		first := b.lowest(spec.KeyPrefix + name)
		return []evidence{{first, func() bool { return len(first.Val()) > 0 }}}
	},
}

// earliestDue is the lowest score that is taken for a time, in the year 2001: lower ones are priorities.
const earliestDue = 1e9
