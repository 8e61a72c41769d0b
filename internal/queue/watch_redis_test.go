package queue

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/queuescaler/queuescaler/test/redisserver"
)

// watching is a Hub with one owner of queue:default and queue:mailers. Unless its period says
// otherwise it never polls by itself, so that what it learns it was told.
type watching struct {
	hub     *Hub
	changes chan bool
}

var two = Spec{System: Sidekiq, Names: []string{"default", "mailers"}, Period: time.Hour, DueHorizon: time.Minute}

func startWatching(t *testing.T, url string, spec Spec) *watching {
	t.Helper()
	return watchAt(t, endpointOf(t, url), spec)
}

func watchAt(t *testing.T, endpoint Endpoint, spec Spec) *watching {
	t.Helper()
	w := &watching{hub: NewHub(endpoint), changes: make(chan bool, 1000)}
	t.Cleanup(func() { _ = w.hub.Close() })
	if err := w.hub.Watch("a", spec, func(wake bool) { w.changes <- wake }); err != nil {
		t.Fatal(err)
	}
	return w
}

// await waits until the snapshot is as it should be.
func (w *watching) await(t *testing.T, what string, is func(Snapshot) bool) Snapshot {
	t.Helper()
	for {
		if s := w.hub.Snapshot("a"); is(s) {
			return s
		}
		select {
		case <-w.changes:
		case <-time.After(time.Minute):
			t.Fatalf("waited in vain until %s: %+v", what, w.hub.Snapshot("a"))
		}
	}
}

// armed waits until Redis tells of changes and the queue is known to be empty.
func (w *watching) armed(t *testing.T) {
	t.Helper()
	w.await(t, "armed", func(s Snapshot) bool { return s.Known() && s.Pushed && s.Depth == 0 })
}

func (w *watching) woken(t *testing.T) {
	t.Helper()
	w.await(t, "woken", func(s Snapshot) bool { return s.Depth > 0 })
}

func enqueue(t *testing.T, client *redis.Client) {
	t.Helper()
	do(t, client, cmd("lpush", "queue:default", job("default")))
}

func drain(t *testing.T, client *redis.Client, w *watching) {
	t.Helper()
	do(t, client, cmd("del", "queue:default"))
	see(t, w.hub, "a")
}

func TestPushWakes(t *testing.T) {
	for name, test := range map[string]struct {
		spec Spec
		do   []any
	}{
		"a job":               {two, cmd("lpush", "queue:mailers", job("mailers"))},
		"a list":              {Spec{System: List, Names: []string{"jobs"}, Period: time.Hour}, cmd("rpush", "jobs", "x")},
		"a prefix":            {Spec{System: Sidekiq, KeyPrefix: "shop:", Names: []string{"q"}, Period: time.Hour}, cmd("lpush", "shop:queue:q", job("q"))},
		"a job in a new list": {Spec{System: Sidekiq, Period: time.Hour}, cmd("eval", "redis.call('sadd','queues','new') return redis.call('lpush','queue:new','{}')", 0)},
		"another database":    {two, cmd("lpush", "queue:default", job("default"))},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url := redisserver.StartT(t, redisserver.Options{}).URL()
			if name == "another database" {
				url += "/7"
			}
			w := startWatching(t, url, test.spec)
			w.armed(t)
			do(t, clientOf(t, url), test.do)
			w.woken(t)
		})
	}
}

// TestPushOfScheduledJob has a job be scheduled while nobody looks.
func TestPushOfScheduledJob(t *testing.T) {
	t.Parallel()
	server := redisserver.StartT(t, redisserver.Options{})
	client := clientOf(t, server.URL())
	w := startWatching(t, server.URL(), two)
	w.armed(t)
	do(t, client, cmd("zadd", "schedule", now(t, client).Add(30*time.Second).Unix(), job("default")))
	w.await(t, "the job is known", func(s Snapshot) bool { return !s.NextDue.IsZero() })
}

// TestTakenAtOnceIsActivity has a worker take the job before anybody can see it.
func TestTakenAtOnceIsActivity(t *testing.T) {
	t.Parallel()
	server := redisserver.StartT(t, redisserver.Options{})
	client, worker := clientOf(t, server.URL()), clientOf(t, server.URL())
	w := startWatching(t, server.URL(), two)
	w.armed(t)
	for range 20 {
		taken := make(chan error)
		go func() { taken <- worker.BRPop(context.Background(), 0, "queue:default").Err() }()
		before := time.Now()
		enqueue(t, client)
		if err := <-taken; err != nil {
			t.Fatal(err)
		}
		// What Redis did before the look is told with it.
		if s := see(t, w.hub, "a"); !s.IdleSince.After(before) {
			t.Fatalf("idle since %v before the job", before.Sub(s.IdleSince))
		}
	}
}

// TestWatchSurvives does what happens to servers and networks, and then enqueues a job.
func TestWatchSurvives(t *testing.T) {
	for name, trouble := range map[string]func(t *testing.T, server *redisserver.Server, proxy *proxy){
		"nothing": func(*testing.T, *redisserver.Server, *proxy) {},
		"CLIENT KILL": func(t *testing.T, server *redisserver.Server, _ *proxy) {
			do(t, clientOf(t, server.URL()), cmd("client", "kill", "skipme", "yes"))
		},
		"CLIENT KILL of the listener": func(t *testing.T, server *redisserver.Server, _ *proxy) {
			do(t, clientOf(t, server.URL()), cmd("client", "kill", "type", "pubsub"))
		},
		"FLUSHALL": func(t *testing.T, server *redisserver.Server, _ *proxy) {
			do(t, clientOf(t, server.URL()), cmd("flushall"))
		},
		"a restart": func(t *testing.T, server *redisserver.Server, _ *proxy) {
			if err := server.Restart(t.Context()); err != nil {
				t.Fatal(err)
			}
		},
		"a black hole": func(_ *testing.T, _ *redisserver.Server, proxy *proxy) { proxy.blackHole() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := redisserver.StartT(t, redisserver.Options{})
			proxy := startProxy(t, server.Addr())
			w := startWatching(t, proxy.url(), two)
			w.armed(t)
			for range 2 {
				trouble(t, server, proxy)
				enqueue(t, clientOf(t, server.URL()))
				w.woken(t)
				drain(t, clientOf(t, server.URL()), w)
				w.armed(t)
			}
		})
	}
}

// TestOtherData restarts the server with a job in it.
func TestOtherData(t *testing.T) {
	t.Parallel()
	server := redisserver.StartT(t, redisserver.Options{})
	proxy := startProxy(t, server.Addr())
	w := startWatching(t, proxy.url(), two)
	w.armed(t)
	proxy.leadTo("127.0.0.1:1") // nobody there until the data are in
	if err := server.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.await(t, "gone", func(s Snapshot) bool { return !s.Known() || !s.Pushed })
	enqueue(t, clientOf(t, server.URL()))
	proxy.leadTo(server.Addr())
	w.woken(t)
}

// TestChangedPassword has the password change, the connections end, and the old one come back.
func TestChangedPassword(t *testing.T) {
	t.Parallel()
	server := redisserver.StartT(t, redisserver.Options{Password: canary})
	client := clientOf(t, server.URL())
	spec := two
	spec.Period = time.Second
	w := startWatching(t, server.URL(), spec)
	w.armed(t)
	do(t, client, cmd("config", "set", "requirepass", "another"), cmd("client", "kill", "skipme", "yes"))
	w.await(t, "refused", func(s Snapshot) bool { return s.Err != nil && s.Err.Kind == Unauthorized })
	enqueue(t, client)
	do(t, client, cmd("config", "set", "requirepass", canary))
	w.woken(t)
	drain(t, client, w)
	w.armed(t)
}

// TestFailover makes the replica the primary while the Hub is connected to the other, and then cuts
// the new replica off.
func TestFailover(t *testing.T) {
	t.Parallel()
	first, second := redisserver.StartT(t, redisserver.Options{}), redisserver.StartT(t, redisserver.Options{})
	old, new := clientOf(t, first.URL()), clientOf(t, second.URL())
	w := startWatching(t, first.URL(), two)
	w.armed(t)
	do(t, new, cmd("replicaof", "127.0.0.1", fmt.Sprint(first.Port())))
	awaitInfo(t, new, "master_link_status:up")
	awaitInfo(t, old, "state=online")
	do(t, old, cmd("failover"))
	takeOver(t, new, old, w)

	if err := second.Kill(); err != nil {
		t.Fatal(err)
	}
	awaitInfo(t, old, "master_link_status:down")
	if s := see(t, w.hub, "a"); s.Known() || !strings.Contains(s.Err.Message, "lost its primary") {
		t.Errorf("a replica without a primary is believed: %+v", s)
	}
}

// TestReplicaWithoutNews has a replica that is read lose the link to its primary, without a word. Until
// it notices, what it holds is believed; then nothing is, until the link is back.
func TestReplicaWithoutNews(t *testing.T) {
	t.Parallel()
	primary := redisserver.StartT(t, redisserver.Options{})
	link := startProxy(t, primary.Addr())
	_, port, _ := net.SplitHostPort(link.listener.Addr().String())
	replica := redisserver.StartT(t, redisserver.Options{Args: []string{"--replicaof", "127.0.0.1 " + port, "--repl-timeout", "2"}})
	awaitInfo(t, clientOf(t, replica.URL()), "master_link_status:up")
	spec := two
	spec.Period = time.Second
	w := startWatching(t, replica.URL(), spec)
	w.armed(t)
	link.leadTo("127.0.0.1:1")
	link.blackHole()
	enqueue(t, clientOf(t, primary.URL()))
	w.await(t, "not believed", func(s Snapshot) bool { return !s.Known() && strings.Contains(s.Err.Message, "lost its primary") })
	link.leadTo(primary.Addr())
	w.woken(t)
}

// TestNoMoreClients has no connection be free, then one, then another. Nobody tries without a rest.
func TestNoMoreClients(t *testing.T) {
	t.Parallel()
	server := redisserver.StartT(t, redisserver.Options{Args: []string{"--maxclients", "1"}})
	client := clientOf(t, server.URL())
	enqueue(t, client)
	w := startWatching(t, server.URL(), two)
	// Sometimes the connection is closed before the reply was read.
	w.await(t, "refused", func(s Snapshot) bool {
		return s.Err != nil && s.Err.Kind == Full && strings.Contains(s.Err.Message, "maxclients")
	})
	rejected := func() (count int) {
		_, stats, _ := strings.Cut(client.Info(t.Context(), "stats").Val(), "rejected_connections:")
		if _, err := fmt.Sscan(stats, &count); err != nil {
			t.Fatal(err)
		}
		return count
	}
	const tries = 3 // of the reader and of the listener
	before := rejected()
	for rejected() < before+tries {
		time.Sleep(10 * time.Millisecond) // between two looks
	}
	if more := rejected() - before; more > 2*tries {
		t.Errorf("%d tries", more)
	}
	do(t, client, cmd("config", "set", "maxclients", "2"))
	w.woken(t)
	do(t, client, cmd("config", "set", "maxclients", "3"), cmd("del", "queue:default"))
	w.await(t, "pushed", func(s Snapshot) bool { return s.Pushed })
}

// takeOver waits until a server has become the other's primary, and has a job there be heard of and taken.
func takeOver(t *testing.T, new, old *redis.Client, w *watching) {
	t.Helper()
	awaitInfo(t, new, "role:master")
	awaitInfo(t, old, "master_link_status:up")
	enqueue(t, new)
	w.woken(t)
	drain(t, new, w)
	w.armed(t)
}

func awaitInfo(t *testing.T, client *redis.Client, line string) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !strings.Contains(client.Info(t.Context(), "replication").Val(), line); {
		if time.Now().After(deadline) {
			t.Fatalf("no %s in %s", line, client.Info(t.Context(), "replication").Val())
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// TestSwallowedPushes has pushes be lost on the way, as in a proxy that does not know them.
func TestSwallowedPushes(t *testing.T) {
	t.Parallel()
	server := redisserver.StartT(t, redisserver.Options{})
	client := clientOf(t, server.URL())
	proxy := startProxy(t, server.Addr())
	proxy.setDeaf(true)
	spec := two
	spec.Period = time.Second
	w := startWatching(t, proxy.url(), spec)
	w.armed(t)
	see(t, w.hub, "a")
	see(t, w.hub, "a")
	enqueue(t, client)
	w.woken(t)
	s := w.await(t, "distrusted", func(s Snapshot) bool { return !s.Pushed })
	if s.NotPushed == "" {
		t.Errorf("%+v", s)
	}
	proxy.setDeaf(false)
	do(t, client, cmd("client", "kill", "type", "pubsub"))
	drain(t, client, w)
	for w.hub.Snapshot("a").NotPushed != "" {
		enqueue(t, client)
		drain(t, client, w)
	}
	w.armed(t)
}

// TestWatchRights has users who may not do everything.
func TestWatchRights(t *testing.T) {
	reading := []string{"~*", "resetchannels", "-@all", "+@read", "+hello", "+time"}
	for name, test := range map[string]struct {
		rights []string
		pushed bool
	}{
		"reads only":              {reading, false},
		"tracking":                {append(slices.Clone(reading), "+client|tracking"), true},
		"tracking and ping":       {append(slices.Clone(reading), "+client|tracking", "+ping"), true},
		"tracking and connection": {append(slices.Clone(reading), "+@connection", "+subscribe", "&queuescaler"), true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := redisserver.StartT(t, redisserver.Options{User: "reader", Password: canary, Rights: test.rights,
				Args: []string{"--user", "writer", "on", "nopass", "~*", "+@all"}})
			spec := two
			spec.Period = time.Second
			w := startWatching(t, server.URL(), spec)
			s := w.await(t, "settled", func(s Snapshot) bool { return s.Known() && (s.Pushed || s.NotPushed != "") })
			if s.Pushed != test.pushed {
				t.Errorf("%+v", s)
			}
			if err := w.hub.Watch("blind", Spec{System: List, Names: []string{"jobs"}, Period: time.Second}, func(bool) {}); err != nil {
				t.Fatal(err)
			}
			for see(t, w.hub, "blind").Unwatched == test.pushed { // armed again within a moment, or never
			}
			writer := redis.NewClient(&redis.Options{Addr: server.Addr(), Username: "writer", Password: "any"})
			defer func() { _ = writer.Close() }()
			enqueue(t, writer)
			w.woken(t)
		})
	}
}

// TestBusyNeighbour counts what an idle owner hears of another queue that takes a great many jobs.
func TestBusyNeighbour(t *testing.T) {
	t.Parallel()
	server := redisserver.StartT(t, redisserver.Options{})
	client := clientOf(t, server.URL())
	w := startWatching(t, server.URL(), Spec{System: Sidekiq, Names: []string{"default"}, Period: time.Hour})
	w.armed(t)
	do(t, client, cmd("config", "resetstat"))
	pipe := client.Pipeline()
	for range 20_000 {
		pipe.LPush(t.Context(), "queue:busy", "x")
	}
	if _, err := pipe.Exec(t.Context()); err != nil {
		t.Fatal(err)
	}
	enqueue(t, client)
	w.woken(t)
	if n := calls(t, client, "llen"); n > 3 {
		t.Errorf("%d reads", n)
	}
}
