package queue

import (
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// Mailbox is the job system of docs/adding-a-queue-type.md.
const Mailbox System = "Mailbox"

// mailbox reads a queue of Mailbox. Its keys begin with mailbox:Q:
//
//	new    LIST  jobs, RPUSH in, taken from the front
//	open   SET   ids of the running jobs
//	later  ZSET  ids by due time, seconds since 1970
type mailbox struct {
	prefix string
	due    bool // scheduled jobs matter
}

func newMailbox(spec Spec, name string) reader {
	return &mailbox{prefix: spec.KeyPrefix + "mailbox:" + name + ":", due: spec.DueHorizon > 0}
}

func (m *mailbox) watched() watchSet {
	set := watchSet{jobs: []string{m.prefix + "new", m.prefix + "open"}}
	if m.due {
		set.others = []string{m.prefix + "later"}
	}
	return set
}

func (m *mailbox) look(result *Observation) step {
	return func(b *batch) (step, error) {
		// Along the way that jobs take, so that none moves on unseen between two commands.
		var later *redis.ZSliceCmd
		if m.due {
			later = b.lowest(m.prefix + "later")
		}
		clock, waiting, open := b.time(), b.llen(m.prefix+"new"), b.setSize(m.prefix+"open")
		return func(*batch) (step, error) {
			if err := firstFailure(clock, waiting, open); err != nil {
				return nil, err
			}
			result.Depth += waiting.Val()
			result.InFlight += open.Val()
			if later == nil {
				return nil, nil
			}
			for _, job := range later.Val() {
				result.addDue(clock.Val(), timeOfScore(job.Score))
			}
			return nil, failure(later)
		}, nil
	}
}

var mailboxPresence = presence{
	signs: func(b *batch, spec Spec, name string) []evidence {
		return []evidence{counted(b.listed("mailbox:names", name)), counted(b.llen("mailbox:" + name + ":new"))}
	},
	search: inRegister(func(Spec) string { return "mailbox:names" }, ""),
}

// TestRecipe adds a job system by the steps of the page, and observes it.
func TestRecipe(t *testing.T) {
	readers[Mailbox] = eachQueue(newMailbox)
	presences[Mailbox] = mailboxPresence
	t.Cleanup(func() {
		delete(readers, Mailbox)
		delete(presences, Mailbox)
	})
	client := sharedRedis(t)
	spec := Spec{System: Mailbox, Names: []string{"a", "b"}, DueHorizon: time.Hour}
	do(t, client, cmd("sadd", "mailbox:names", "a", "bb"))
	if o := observe(t, client, spec); o.Active() || o.Orphans != 0 || !o.NextDue.IsZero() || !slices.Equal(o.Absent, []string{"b"}) || !slices.Equal(o.Existing, []string{"bb"}) {
		t.Errorf("empty: %+v", o)
	}
	do(t, client,
		cmd("rpush", "mailbox:a:new", "1", "2"), cmd("rpush", "mailbox:b:new", "3"), cmd("sadd", "mailbox:b:open", "4"),
		cmd("zadd", "mailbox:a:later", now(t, client).Add(time.Minute).Unix(), "5"))
	o := observe(t, client, spec)
	if o.Depth != 3 || o.InFlight != 1 {
		t.Errorf("%+v", o)
	}
	between(t, "the time until the next job", o.NextDue.Sub(o.Start), 50*time.Second, time.Minute)
}

// TestRecipeIsThePage has the page show the reader above.
func TestRecipeIsThePage(t *testing.T) {
	page, err := os.ReadFile("../../docs/adding-a-queue-type.md")
	if err != nil {
		t.Fatal(err)
	}
	source, err := os.ReadFile("recipe_test.go")
	if err != nil {
		t.Fatal(err)
	}
	blocks := strings.Split(string(page), "```go\n")[1:]
	if len(blocks) < 2 {
		t.Fatal("the page has no code")
	}
	for _, block := range blocks {
		code, _, _ := strings.Cut(block, "```")
		if !strings.Contains(string(source), strings.TrimSpace(code)) {
			t.Errorf("the page shows other code:\n%s", code)
		}
	}
}
