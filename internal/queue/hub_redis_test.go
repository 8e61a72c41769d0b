package queue

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/queuescaler/queuescaler/test/redisserver"
)

// newHub watches a server for owners, each with the same spec, seldom by itself.
func newHub(t *testing.T, url string, spec Spec, ids ...string) *Hub {
	t.Helper()
	hub := NewHub(endpointOf(t, url))
	t.Cleanup(func() { _ = hub.Close() })
	spec.Period = time.Hour
	for _, id := range ids {
		if err := hub.Watch(id, spec, func(bool) {}); err != nil {
			t.Fatal(err)
		}
	}
	return hub
}

func see(t *testing.T, hub *Hub, id string) Snapshot {
	t.Helper()
	snapshot, err := hub.Observe(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return snapshot
}

// calls counts the calls of a command that the server has seen.
func calls(t *testing.T, client *redis.Client, command string) (count int) {
	t.Helper()
	stats := client.Info(context.Background(), "commandstats").Val()
	for line := range strings.Lines(stats) {
		if rest, ok := strings.CutPrefix(line, "cmdstat_"+command+":calls="); ok {
			if _, err := fmt.Sscanf(rest, "%d,", &count); err != nil {
				t.Fatal(err)
			}
		}
	}
	return count
}

func TestEqualCommandsAreSentOnce(t *testing.T) {
	server := redisserver.StartT(t, redisserver.Options{})
	client := clientOf(t, server.URL())
	beat(t, client, me, serving("default"), "1")
	do(t, client, cmd("lpush", "queue:default", "x"), cmd("config", "resetstat"))
	ids := []string{"a", "b", "c", "d"}
	endpoint := endpointOf(t, server.URL())
	tested := newClient(endpoint)
	defer func() { _ = tested.Close() }()
	var looks []*look
	for range ids {
		l := &look{result: Observation{Start: time.Now()}}
		l.step = newObserver(t, tested, mine).reader.look(&l.result)
		looks = append(looks, l)
	}
	(&connection{client: tested}).read(t.Context(), looks)
	for _, l := range looks {
		if l.err != nil || l.result.Depth != 1 || l.result.InFlight != 1 {
			t.Errorf("%+v, %v", l.result, l.err)
		}
	}
	for command, want := range map[string]int{
		"llen": 1, "lindex": 1, "smembers": 2, "hmget": 1, "pttl": 1, "hvals": 2, "zrangebyscore": 2, "time": 3,
	} {
		if got := calls(t, client, command); got != want {
			t.Errorf("%s was called %d times, want %d", command, got, want)
		}
	}
}

func TestTwoConnectionsPerHub(t *testing.T) {
	server := redisserver.StartT(t, redisserver.Options{})
	hub := newHub(t, server.URL(), mine, "a", "b", "c")
	done := make(chan Snapshot)
	for i := range 30 {
		go func() {
			snapshot, _ := hub.Observe(context.Background(), string("abc"[i%3]))
			done <- snapshot
		}()
	}
	for range 30 {
		if s := <-done; !s.Known() {
			t.Errorf("%+v", s)
		}
	}
	client := redis.NewClient(&redis.Options{Addr: server.Addr(), ClientName: "test"})
	defer func() { _ = client.Close() }()
	list := client.ClientList(t.Context()).Val()
	if n := strings.Count(list, "name=queuescaler"); n != 2 || strings.Count(list, "\n") != 3 {
		t.Errorf("%d connections of %s", n, list)
	}
}

func TestHubRecoversFromRestart(t *testing.T) {
	server := redisserver.StartT(t, redisserver.Options{})
	client := clientOf(t, server.URL())
	beat(t, client, me, serving("default"), "0")
	hub := newHub(t, server.URL(), mine, "a")
	first := see(t, hub, "a")
	if !first.Known() || len(first.Processes) != 1 {
		t.Fatalf("%+v", first)
	}
	if err := server.Kill(); err != nil {
		t.Fatal(err)
	}
	if s := see(t, hub, "a"); s.Known() || s.Err.Kind != Unreachable || !s.IdleSince.IsZero() {
		t.Fatalf("%+v", s)
	}
	back := time.Now()
	if err := server.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	if s := see(t, hub, "a"); !s.Known() || s.IdleSince.Before(back) || !s.SettledAt.After(s.End) {
		t.Errorf("%+v", s)
	}
}

// TestUnnoticedRestart loses all data between two looks: the process that is gone restarts the clock.
func TestUnnoticedRestart(t *testing.T) {
	server := redisserver.StartT(t, redisserver.Options{})
	beat(t, clientOf(t, server.URL()), me, serving("default"), "0")
	hub := newHub(t, server.URL(), mine, "a")
	first := see(t, hub, "a")
	if err := server.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	if s := see(t, hub, "a"); s.Known() && !s.IdleSince.After(first.IdleSince) {
		t.Errorf("%+v", s)
	}
}

// TestHubOutlivesPause has Redis fall silent: an error in time, and all well when it speaks again.
func TestHubOutlivesPause(t *testing.T) {
	server := redisserver.StartT(t, redisserver.Options{})
	hub := newHub(t, server.URL(), mine, "a")
	if s := see(t, hub, "a"); !s.Known() {
		t.Fatalf("%+v", s)
	}
	if err := server.Pause(); err != nil {
		t.Fatal(err)
	}
	if s := see(t, hub, "a"); s.Known() || s.Err.Kind != Unreachable || !strings.Contains(s.Err.Message, "in time") {
		t.Errorf("%+v, %v", s, s.Err)
	}
	back := time.Now()
	if err := server.Resume(); err != nil {
		t.Fatal(err)
	}
	if s := see(t, hub, "a"); !s.Known() || s.IdleSince.Before(back) {
		t.Errorf("%+v", s)
	}
}

// TestHubNeverTakesRefusalForEmpty has Redis refuse the user: that must not look like an empty queue.
func TestHubNeverTakesRefusalForEmpty(t *testing.T) {
	server := redisserver.StartT(t, redisserver.Options{Password: canary})
	for _, spec := range []Spec{mine, {System: List, Names: []string{"jobs"}}} {
		hub := newHub(t, "redis://:wrong@"+server.Addr(), spec, "a")
		if s := see(t, hub, "a"); s.Known() || s.Err.Kind != Unauthorized {
			t.Errorf("%s: %+v", spec.System, s)
		}
	}
}

func TestList(t *testing.T) {
	client := sharedRedis(t)
	spec := Spec{System: List, Names: []string{"jobs", "more"}, KeyPrefix: "shop:", ProcessingKeys: []string{"busy"}}
	if o := observe(t, client, spec); o.Active() || o.Processed != -1 || o.Heartbeats {
		t.Errorf("%+v", o)
	}
	do(t, client, cmd("lpush", "shop:jobs", "1", "2"), cmd("lpush", "shop:more", "3"), cmd("lpush", "shop:busy", "4"), cmd("lpush", "jobs", "5"))
	if o := observe(t, client, spec); o.Depth != 3 || o.InFlight != 1 {
		t.Errorf("%+v", o)
	}
}
