package queue

import (
	"slices"
	"strings"
)

// maxPrefixes bounds the prefixes of one watch: at every write Redis goes through all of them.
const maxPrefixes = 64

// watchSet is what an owner wants to hear of.
type watchSet struct {
	// jobs are the keys that a job goes through: a push there is activity.
	jobs []string
	// allJobs is a prefix of such keys, where their names are not known before; empty for none.
	allJobs string
	// others are the keys where a push is no activity, but a reason to look: where jobs wait for their
	// time, or a pause is noted.
	others []string
	// silent says that jobs may come to wait without a write: their time comes.
	silent bool
}

// prefixes are those that cover the set.
func (w watchSet) prefixes() []string {
	list := slices.Concat(w.jobs, w.others)
	if w.allJobs != "" {
		list = append(list, w.allJobs)
	}
	return list
}

// mergePrefixes makes few prefixes of many, none of which begins with another, as Redis demands.
// Where there are too many they are cut to the longest length that leaves few enough.
func mergePrefixes(list []string) []string {
	longest := 0
	for _, prefix := range list {
		longest = max(longest, len(prefix))
	}
	// The number of different prefixes does not grow as they get shorter.
	low, high := 0, longest
	for low < high {
		if middle := (low + high + 1) / 2; len(cutPrefixes(list, middle)) <= maxPrefixes {
			low = middle
		} else {
			high = middle - 1
		}
	}
	return cutPrefixes(list, low)
}

// cutPrefixes cuts prefixes to a length and leaves out those that begin with another.
func cutPrefixes(list []string, length int) []string {
	cut := make([]string, len(list))
	for i, prefix := range list {
		cut[i] = prefix[:min(len(prefix), length)]
	}
	slices.Sort(cut)
	kept := cut[:0]
	for _, prefix := range cut {
		if len(kept) == 0 || !strings.HasPrefix(prefix, kept[len(kept)-1]) {
			kept = append(kept, prefix)
		}
	}
	return kept
}

// covers says whether each key begins with one of the merged prefixes.
func covers(merged, keys []string) bool {
	return !slices.ContainsFunc(keys, func(key string) bool {
		at, found := slices.BinarySearch(merged, key)
		return !found && (at == 0 || !strings.HasPrefix(key, merged[at-1]))
	})
}
