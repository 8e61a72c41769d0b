package queue

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// Bounds of the search for the queues that are there, while one that is asked for is not.
const (
	searchPeriod = time.Minute
	// scanPage is how many keys of the database one command goes through, in about a third of a
	// millisecond of the server's time. scanPages is how many such commands a search sends.
	scanPage  = 1000
	scanPages = 5
	// searchMembers is how many names are read of a register, and kept.
	searchMembers = 100
	// existingNames is how many names a person reads, and existingBytes how much of each.
	existingNames = 5
	existingBytes = 64
	// comparedNames is how many of the names that were asked for the others are compared with.
	comparedNames = 8
)

// search finds the names of queues that are there, for a person who mistyped one. Names out of Redis may
// hold anything, and there may be any number of them.
type search struct {
	next   time.Time // when to search again
	cursor string    // where the scan of the keys goes on; empty for its start
	pages  int       // scanned in this search
	found  map[string]bool
}

// begin reports whether it is time to search, and begins.
func (s *search) begin(now time.Time) bool {
	if now.Before(s.next) {
		return false
	}
	s.next, s.pages = now.Add(searchPeriod), 0
	return true
}

func (s *search) add(name string) {
	if name == "" || len(s.found) >= searchMembers {
		return
	}
	if s.found == nil {
		s.found = map[string]bool{}
	}
	s.found[shortened(name)] = true
}

// shortened makes a name fit for a message.
func shortened(name string) string {
	if len(name) <= existingBytes {
		return strings.ToValidUTF8(name, "\uFFFD")
	}
	return strings.ToValidUTF8(name[:existingBytes], "") + "…"
}

// inRegister searches the SET in which a job system lists its queues, each behind a prefix.
func inRegister(key func(Spec) string, prefix string) func(*known, *batch) step {
	return func(k *known, b *batch) step {
		members := b.randomMembers(key(k.spec), searchMembers)
		return func(*batch) (step, error) {
			for _, member := range members.Val() {
				k.search.add(strings.TrimPrefix(member, prefix))
			}
			return nil, nil
		}
	}
}

// scan searches the keys of a pattern, a few pages of the database at a time, and has each page read.
func (s *search) scan(b *batch, pattern string, read func(b *batch, keys []string) step) step {
	s.pages++
	page := b.scan(cmp.Or(s.cursor, "0"), pattern, scanPage)
	return func(b *batch) (step, error) {
		var steps []step
		if next := read(b, s.turn(page)); next != nil {
			steps = append(steps, next)
		}
		if s.cursor != "" && s.pages < scanPages {
			steps = append(steps, s.scan(b, pattern, read))
		}
		if len(steps) == 0 {
			return nil, nil
		}
		return sideBySide(steps), nil
	}
}

// turn takes in a page: SCAN answers the next cursor, which is "0" at the end, and the keys.
func (s *search) turn(page *redis.SliceCmd) (keys []string) {
	s.cursor = ""
	reply := page.Val()
	if len(reply) != 2 {
		return nil
	}
	if cursor, _ := reply[0].(string); cursor != "0" {
		s.cursor = cursor
	}
	found, _ := reply[1].([]any)
	for _, key := range found {
		if text, ok := key.(string); ok {
			keys = append(keys, text)
		}
	}
	return keys
}

// escaped makes a text mean itself in a pattern of Redis.
func escaped(text string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(text)
}

// closest are the names that were found beside those asked for, the ones first that are spelled most
// like one of them.
func (s *search) closest(asked []string) []string {
	type other struct {
		name     string
		distance int
	}
	var others []other
	for name := range s.found {
		if slices.Contains(asked, name) {
			continue
		}
		least := len(name) + existingBytes
		for _, wanted := range asked[:min(len(asked), comparedNames)] {
			least = min(least, distance(name, shortened(wanted)))
		}
		others = append(others, other{name, least})
	}
	slices.SortFunc(others, func(a, b other) int {
		return cmp.Or(cmp.Compare(a.distance, b.distance), cmp.Compare(a.name, b.name))
	})
	var names []string
	for _, one := range others[:min(len(others), existingNames)] {
		names = append(names, one.name)
	}
	return names
}

// distance is the number of bytes to insert, delete or replace to make one name of another.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			replaced := diagonal
			if a[i] != b[j] {
				replaced++
			}
			diagonal = row[j+1]
			row[j+1] = min(replaced, row[j]+1, diagonal+1)
		}
	}
	return row[len(b)]
}
