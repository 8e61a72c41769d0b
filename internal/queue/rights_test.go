package queue

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/queuescaler/queuescaler/test/redisserver"
)

// rights are what a user needs for one job system.
type rights struct {
	spec Spec
	// acl is as in ACL SETUSER: only what is needed.
	acl []string
	// seed leaves something to find under every key that is read.
	seed [][]any
	// spared are the rights that can be done without, and what is then different.
	spared map[string]func(Snapshot) bool
}

// same is for rights without which all is as with them.
func same(s Snapshot) bool { return s.Pushed }

// connecting are the rights for the connection that can be done without.
var connecting = map[string]func(Snapshot) bool{
	"+client|tracking": func(s Snapshot) bool { return !s.Pushed && strings.Contains(s.NotPushed, "CLIENT TRACKING") },
	"+client|setname":  same,
	"+role":            same,
	"+info":            same,
	"+ping":            same,
	"+subscribe":       same,
	"&queuescaler":     same,
}

// presenceRights are those of a page by which it is only known that a queue is there without jobs, or which
// others there are.
var presenceRights = map[System][]string{
	Sidekiq: {"+sismember", "+srandmember"},
	Asynq:   {"+sismember", "+srandmember", "~asynq:queues"},
	RQ:      {"+sismember", "+srandmember", "~rq:queues"},
	Resque:  {"+sismember", "+srandmember", "~resque:queues"},
	BullMQ:  {"+exists", "+scan"},
	Bull:    {"+scan"},
	Celery:  {"+scan", "+srandmember", "~_kombu.binding.*"},
}

// heardRights are those by which it is only known that a worker serves a queue.
var heardRights = map[System][]string{Asynq: {"+getrange", "~asynq:servers*"}}

// withPresence adds what can be done without where the queue has jobs.
func withPresence(system System) map[string]func(Snapshot) bool {
	spared := maps.Clone(connecting)
	for _, right := range slices.Concat(presenceRights[system], heardRights[system]) {
		spared[right] = same
	}
	return spared
}

// TestPresenceRights: with the rights of the pages a queue without jobs is known, and so are the names of others.
// Without one of them the queue is absent or the others are not named, and work is seen all the same.
func TestPresenceRights(t *testing.T) {
	pages := map[System][2]string{Sidekiq: {"redis-rights.md", "Sidekiq"}}
	for page, system := range systems {
		pages[system.spec.System] = [2]string{"queues/" + page + ".md", "Rights"}
	}
	for system, rights := range presenceRights {
		t.Run(string(system), func(t *testing.T) {
			t.Parallel()
			server := redisserver.StartT(t, redisserver.Options{})
			admin := clientOf(t, server.URL())
			shown := hidden[system]
			do(t, admin, shown.empty...)
			do(t, admin, cmd("sadd", "_kombu.binding.mailers", "m\x06\x16\x06\x16sms"))
			acl := documentedRights(t, pages[system][0], pages[system][1])
			// The names in the lines are examples: a queue may be absent and its name wrong.
			acl = append(acl, "~bull:mails:*", "~asynq:{mails}:*", "~rq:*:mails", "~rq:queue:mails:intermediate", "~resque:queue:mails", "~mails*")
			look := func(t *testing.T, acl []string, name string) Observation {
				user := cmd("acl", "setuser", "reader", "reset", "on", ">"+canary, "resetchannels", "-@all")
				for _, right := range acl {
					user = append(user, right)
				}
				do(t, admin, user)
				client := clientOf(t, fmt.Sprintf("redis://reader:%s@%s", canary, server.Addr()))
				return observe(t, client, shown.asking(system, name))
			}
			if o := look(t, acl, "emails"); len(o.Absent) > 0 || o.Unasked != "" {
				t.Errorf("with all rights: %+v", o)
			}
			if o := look(t, acl, "mails"); len(o.Absent) != 1 || !slices.Contains(o.Existing, "emails") || o.Unasked != "" {
				t.Errorf("a wrong name, with all rights: %+v", o)
			}
			for _, right := range rights {
				without := slices.DeleteFunc(slices.Clone(acl), func(r string) bool { return r == right })
				empty, wrong := look(t, without, "emails"), look(t, without, "mails")
				if len(empty.Absent) == 0 && slices.Contains(wrong.Existing, "emails") {
					t.Errorf("without %s all is as with it", right)
				}
				if len(empty.Absent) > 0 && empty.Unasked == "" {
					t.Errorf("without %s nothing says why %q is not known", right, empty.Absent)
				}
			}
		})
	}
}

// rightsTest takes each right away in turn. Without it the queue is not known, or all of it is seen.
func rightsTest(t *testing.T, r rights) {
	t.Helper()
	server := redisserver.StartT(t, redisserver.Options{})
	admin := clientOf(t, server.URL()+"/1")
	do(t, admin, r.seed...)
	want := gist(observe(t, admin, r.spec))

	t.Run("all", func(t *testing.T) {
		s := r.settled(t, server, admin, r.acl)
		if got := gist(s.Observation); s.Err != nil || got != want || !s.Pushed {
			t.Errorf("got %s, %v, pushed %v, want %s", got, s.Err, s.Pushed, want)
		}
		if log := admin.ACLLog(t.Context(), 10).Val(); len(log) > 0 {
			t.Errorf("refused: %+v", log[0])
		}
	})
	for i, right := range r.acl {
		t.Run("without "+right, func(t *testing.T) {
			s := r.settled(t, server, admin, slices.Delete(slices.Clone(r.acl), i, i+1))
			spared, ok := r.spared[right]
			switch {
			case ok && (s.Err != nil || gist(s.Observation) != want || !spared(s)):
				t.Errorf("got %s, %v, pushed %v (%s), want %s", gist(s.Observation), s.Err, s.Pushed, s.NotPushed, want)
			case !ok && s.Err == nil:
				t.Errorf("got %s, want an error", gist(s.Observation))
			case !ok && (s.Err.Kind != Unauthorized || !names(s.Err.Message, right)):
				t.Errorf("the error does not name what is missing: %s", s.Err.Message)
			}
		})
	}
}

// names says whether a message names a command's right, or a key where the right is a pattern.
func names(message, right string) bool {
	if strings.HasPrefix(right, "~") {
		return strings.Contains(message, "may not read the key")
	}
	return strings.HasSuffix(message, "give it "+right)
}

// settled is what a hub knows as a user with these rights, when it is clear whether it is pushed to.
func (r rights) settled(t *testing.T, server *redisserver.Server, admin *redis.Client, acl []string) Snapshot {
	t.Helper()
	user := cmd("acl", "setuser", "reader", "reset", "on", ">"+canary, "resetchannels", "-@all")
	for _, right := range acl {
		user = append(user, right)
	}
	do(t, admin, user, cmd("acl", "log", "reset"))
	spec := r.spec
	spec.Period = time.Hour
	w := startWatching(t, fmt.Sprintf("redis://reader:%s@%s/1", canary, server.Addr()), spec)
	defer func() { _ = w.hub.Close() }()
	return w.await(t, "settled", func(s Snapshot) bool { return s.Err != nil || s.Known() && (s.Pushed || s.NotPushed != "") })
}

// gist is what an observation found, without the times of it.
func gist(o Observation) string {
	var identities []string
	for _, process := range o.Processes {
		identities = append(identities, process.Identity)
	}
	return fmt.Sprintf("depth %d, in flight %d, due %v, processed %d, processes %v, paused %v, not served %v, doubt %q",
		o.Depth, o.InFlight, !o.NextDue.IsZero(), o.Processed, identities, o.Paused, o.NotServed, o.Doubt)
}

// documentedRights are the rights of the ACL SETUSER line in a section of a page.
func documentedRights(t *testing.T, page, section string) []string {
	t.Helper()
	text, err := os.ReadFile("../../docs/how-to/" + page)
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), "\n## "+section+"\n")
	rest, _, _ = strings.Cut(rest, "\n## ")
	for line := range strings.Lines(rest) {
		if rights, ok := strings.CutPrefix(line, "ACL SETUSER queuescaler on >PASSWORD resetchannels -@all "); ok {
			return strings.Fields(rights)
		}
	}
	t.Fatalf("no ACL SETUSER line in %s, %s", page, section)
	return nil
}

func TestSidekiqRights(t *testing.T) {
	t.Parallel()
	due := time.Now().Add(time.Minute).Unix()
	rightsTest(t, rights{
		spec: Spec{System: Sidekiq, ProcessType: "worker", DueHorizon: time.Hour},
		acl:  documentedRights(t, "redis-rights.md", "Sidekiq"),
		seed: [][]any{
			cmd("sadd", "queues", "default", "mailers"), cmd("sadd", "paused", "mailers"),
			cmd("lpush", "queue:default", job("default")), cmd("lpush", "queue:mailers", job("mailers")),
			cmd("zadd", "schedule", due, job("default")), cmd("zadd", "retry", due, job("default")),
			cmd("sadd", "processes", me), cmd("hset", me, "info", serving("default"), "busy", "1", "quiet", "false"), cmd("expire", me, 60),
			cmd("hset", me+":work", "tid", `{"queue":"default"}`),
			cmd("set", "stat:processed", "7"),
		},
		spared: withPresence(Sidekiq),
	})
}

func TestListRights(t *testing.T) {
	t.Parallel()
	rightsTest(t, rights{
		spec:   Spec{System: List, Names: []string{"jobs"}, ProcessingKeys: []string{"jobs:processing"}},
		acl:    documentedRights(t, "redis-rights.md", "List"),
		seed:   [][]any{cmd("lpush", "jobs", "a"), cmd("lpush", "jobs:processing", "b")},
		spared: connecting,
	})
}

// TestRightsOfPages does so for the rights that the page of each other job system asks for, for a queue
// called emails.
func TestRightsOfPages(t *testing.T) {
	for page, system := range systems {
		t.Run(page, func(t *testing.T) {
			t.Parallel()
			acl := documentedRights(t, "queues/"+page+".md", "Rights")
			for i, right := range acl {
				acl[i] = strings.ReplaceAll(right, "emails", "q")
			}
			rightsTest(t, rights{
				spec: system.complete(), acl: acl, spared: withPresence(system.spec.System),
				seed: [][]any{cmd("eval", system.fill+"\nreturn 1", 0, 10, "x", time.Now().Unix())},
			})
		})
	}
}
