package queue

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"
)

// AllQueues stands for all queues that a job system lists, where a spec names none.
const AllQueues = "*"

// Place is a digest of where a spec's queues are: the job system, the prefix of its keys, the servers and
// the database. The digest has no secret in it, and stays the same when credentials change.
func (e Endpoint) Place(spec Spec) string {
	place := fmt.Sprintf("%q", []string{string(spec.System), spec.KeyPrefix, e.Addresses, fmt.Sprint(e.Database), fmt.Sprint(e.Mode), e.PrimaryName})
	digest := sha256.Sum256([]byte(place))
	return hex.EncodeToString(digest[:8])
}

// presence is how a job system shows that a queue is there, though the queue holds no job.
type presence struct {
	// signs asks for what only a queue that is there has. One of the signs is enough.
	signs func(b *batch, spec Spec, name string) []evidence
	// label is what a queue is called to people; nil if that is its name.
	label func(spec Spec, name string) string
	// search asks which other queues are there; nil if Redis does not tell.
	search func(k *known, b *batch) step
}

// evidence is a command, and whether its reply shows that the queue is there.
type evidence struct {
	command redis.Cmder
	shows   func() bool
}

// counted shows a queue if the reply is a number above 0.
func counted(command *redis.IntCmd) evidence {
	return evidence{command, func() bool { return command.Val() > 0 }}
}

// known remembers which of an owner's queues were seen. A queue that Redis never showed may be called
// otherwise or be elsewhere, so it counts as absent, not as empty. A queue that was seen once has the
// right name: it stays known whatever becomes of its data, and is not asked for again.
type known struct {
	spec     Spec
	presence presence
	queues   []knownQueue // by label
	// there are the labels of the seen queues, and absent those of the others. Both slices are replaced,
	// never changed.
	there, absent []string

	search search
	// refusal is what Redis said when it would not tell a sign.
	refusal string
}

type knownQueue struct {
	name, label string
	seen        bool
}

func newKnown(spec Spec, presence presence) *known {
	k := &known{spec: spec, presence: presence}
	names := spec.Names
	if len(names) == 0 {
		names = []string{AllQueues}
	}
	for _, name := range names {
		label := name
		if presence.label != nil {
			label = presence.label(spec, name)
		}
		k.queues = append(k.queues, knownQueue{name: name, label: label, seen: slices.Contains(spec.Seen, label)})
	}
	slices.SortFunc(k.queues, func(a, b knownQueue) int { return cmp.Compare(a.label, b.label) })
	k.sort()
	return k
}

// see notes that a queue is there, if it is one of the owner's.
func (k *known) see(label string) {
	for i := range k.queues {
		if k.queues[i].label == label {
			k.queues[i].seen = true
		}
	}
}

// unseen returns the queues that were not seen yet.
func (k *known) unseen() []*knownQueue {
	var unseen []*knownQueue
	for i := range k.queues {
		if !k.queues[i].seen {
			unseen = append(unseen, &k.queues[i])
		}
	}
	return unseen
}

// sort tells the seen queues from the others, if one was seen since.
func (k *known) sort() {
	if len(k.there)+len(k.absent) > 0 && len(k.unseen()) == len(k.absent) {
		return
	}
	k.there, k.absent = nil, nil
	for _, queue := range k.queues {
		if queue.seen {
			k.there = append(k.there, queue.label)
		} else {
			k.absent = append(k.absent, queue.label)
		}
	}
}

// askSigns asks for signs of the absent queues, and now and then which others there are.
func (k *known) askSigns(now time.Time) step {
	return func(b *batch) (step, error) {
		unseen := k.unseen()
		signs := make([][]evidence, len(unseen))
		for i, queue := range unseen {
			signs[i] = k.presence.signs(b, k.spec, queue.name)
		}
		return func(b *batch) (step, error) {
			k.refusal = ""
			for i, queue := range unseen {
				k.read(queue, signs[i])
			}
			if len(k.unseen()) == 0 || k.presence.search == nil || !k.search.begin(now) {
				return nil, nil
			}
			return k.presence.search(k, b), nil
		}, nil
	}
}

// read takes in the signs of a queue. A sign that Redis refuses to tell is no reason not to see jobs.
func (k *known) read(queue *knownQueue, signs []evidence) {
	for _, sign := range signs {
		if sign.shows() {
			queue.seen = true
			return
		}
		var err *Error
		if errors.As(failure(sign.command), &err) && err.Kind == Unauthorized {
			k.refusal = cmp.Or(k.refusal, err.Message)
		}
	}
}

// conclude tells what is known after a look, in which workers may have been heard.
func (k *known) conclude(result *Observation) {
	for _, label := range result.served {
		k.see(label)
	}
	k.sort()
	result.Seen, result.Absent = k.there, k.absent
	if len(k.absent) > 0 {
		result.Existing, result.Unasked = k.search.closest(slices.Concat(k.absent, k.there)), k.refusal
	}
}

// knowing is a reader that also tells which of its queues are known.
type knowing struct {
	reader
	known *known
}

// look has the signs of absent queues go along with what the reader asks.
func (k *knowing) look(result *Observation) step {
	steps := []step{k.reader.look(result)}
	if len(k.known.absent) > 0 {
		steps = append(steps, k.known.askSigns(result.Start))
	}
	return finally(sideBySide(steps), func() { k.known.conclude(result) })
}

// finally adds to a step what is to be done when the last of its followers has run.
func finally(s step, conclude func()) step {
	return func(b *batch) (step, error) {
		next, err := s(b)
		switch {
		case err != nil:
			return nil, err
		case next == nil:
			conclude()
			return nil, nil
		}
		return finally(next, conclude), nil
	}
}
