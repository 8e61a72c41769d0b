package queue

import (
	"slices"

	"github.com/redis/go-redis/v9"
)

// list reads plain Redis lists. A job is in flight while it stands in one of the processing keys;
// without such keys Redis does not show which jobs run, and the owner must wait them out.
type list struct {
	waiting, processing []string
}

func newList(spec Spec) reader {
	return &list{waiting: prefixed(spec.KeyPrefix, spec.Names), processing: prefixed(spec.KeyPrefix, spec.ProcessingKeys)}
}

func prefixed(prefix string, names []string) []string {
	keys := make([]string, len(names))
	for i, name := range names {
		keys[i] = prefix + name
	}
	return keys
}

func (l *list) watched() watchSet { return watchSet{jobs: slices.Concat(l.waiting, l.processing)} }

func (l *list) look(result *Observation) step {
	return func(b *batch) (step, error) {
		waiting, processing := lengths(b, l.waiting), lengths(b, l.processing)
		return func(*batch) (step, error) {
			var err error
			result.Processed = -1
			if result.Depth, err = sum(waiting); err != nil {
				return nil, err
			}
			result.InFlight, err = sum(processing)
			return nil, err
		}, nil
	}
}

// listPresence: a list is there only while it has jobs.
var listPresence = presence{
	signs: func(b *batch, spec Spec, name string) []evidence {
		return []evidence{counted(b.llen(spec.KeyPrefix + name))}
	},
}

func lengths(b *batch, keys []string) []*redis.IntCmd {
	commands := make([]*redis.IntCmd, len(keys))
	for i, key := range keys {
		commands[i] = b.llen(key)
	}
	return commands
}

func sum(commands []*redis.IntCmd) (int64, error) {
	var total int64
	for _, command := range commands {
		if err := failure(command); err != nil {
			return 0, err
		}
		total += command.Val()
	}
	return total, nil
}
