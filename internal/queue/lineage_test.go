package queue

import (
	"slices"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/queuescaler/queuescaler/test/redisserver"
)

// moving is a List whose jobs stand in a key of their own while they run.
var moving = Spec{System: List, Names: []string{"jobs"}, ProcessingKeys: []string{"busy"}, Period: time.Hour}

// TestLostJobIsHeld restarts Redis empty while a worker has a job, once with the job seen and once without:
// the queue is idle from then on, and no worker is stopped before it could be heard of again.
func TestLostJobIsHeld(t *testing.T) {
	t.Parallel()
	for name, seen := range map[string]bool{"a job that was seen": true, "a job that nobody saw": false} {
		t.Run(name, func(t *testing.T) {
			server := redisserver.StartT(t, redisserver.Options{})
			client := clientOf(t, server.URL())
			hub := newHub(t, server.URL(), moving, "a")
			see(t, hub, "a")
			if seen {
				do(t, client, cmd("lpush", "busy", "x"))
				see(t, hub, "a")
			}
			lost := time.Now()
			if err := server.Restart(t.Context()); err != nil {
				t.Fatal(err)
			}
			s := see(t, hub, "a")
			for !s.Known() {
				s = see(t, hub, "a")
			}
			if s.IdleSince.Before(lost) || s.SettledAt.Before(s.End) {
				t.Errorf("idle since %v before the restart, settled %v after the look", lost.Sub(s.IdleSince), s.SettledAt.Sub(s.End))
			}
		})
	}
}

// TestFlushedJobIsHeld empties a server that goes on.
func TestFlushedJobIsHeld(t *testing.T) {
	t.Parallel()
	server := redisserver.StartT(t, redisserver.Options{})
	client := clientOf(t, server.URL())
	w := startWatching(t, server.URL(), moving)
	w.armed(t)
	do(t, client, cmd("lpush", "busy", "x"))
	see(t, w.hub, "a")
	do(t, client, cmd("flushall"))
	if s := see(t, w.hub, "a"); s.SettledAt.Before(s.End) {
		t.Errorf("%+v", s)
	}
}

// TestReconnectionIsNoLoss ends the reader's connection, as servers do with those that are idle for long,
// and as a user may see who is told which process answers and one who is not.
func TestReconnectionIsNoLoss(t *testing.T) {
	t.Parallel()
	rights := []string{"~*", "resetchannels", "-@all", "+@read", "+hello", "+time", "+ping", "+client|tracking", "+subscribe", "&queuescaler"}
	for name, test := range map[string][]string{
		"the server says who it is":  append(slices.Clone(rights), "+info"),
		"the server does not say so": rights,
	} {
		t.Run(name, func(t *testing.T) {
			server := redisserver.StartT(t, redisserver.Options{User: "reader", Password: canary, Rights: test,
				Args: []string{"--user", "admin", "on", "nopass", "~*", "+@all"}})
			admin := redis.NewClient(&redis.Options{Addr: server.Addr(), Username: "admin", Password: "any"})
			defer func() { _ = admin.Close() }()
			w := startWatching(t, server.URL(), moving)
			w.armed(t)
			see(t, w.hub, "a")
			first := see(t, w.hub, "a") // a look that began after the listening did
			for range 3 {
				do(t, admin, cmd("client", "kill", "type", "normal", "user", "reader"))
				s := see(t, w.hub, "a")
				if !s.Known() || !s.IdleSince.Equal(first.IdleSince) || !s.SettledAt.IsZero() {
					t.Errorf("idle since %v, then %v; settled %v; %v", first.IdleSince, s.IdleSince, s.SettledAt, s.Err)
				}
			}
		})
	}
}

// TestOldPrimaryBehindAnAddressIsLeft has an address lead to another server, while the one that the Hub is
// connected to becomes a replica that has lost its primary.
func TestOldPrimaryBehindAnAddressIsLeft(t *testing.T) {
	t.Parallel()
	first, second := redisserver.StartT(t, redisserver.Options{}), redisserver.StartT(t, redisserver.Options{})
	old, new := clientOf(t, first.URL()), clientOf(t, second.URL())
	address := startProxy(t, first.Addr())
	w := startWatching(t, address.url(), two)
	w.armed(t)
	address.leadTo(second.Addr())
	do(t, old, cmd("replicaof", "127.0.0.1", "1"))
	see(t, w.hub, "a") // finds the replica, or the new server if a look of the Hub's own found the replica before
	enqueue(t, new)
	w.woken(t)
	drain(t, new, w)
	w.armed(t)
	for range 3 { // what was listened to there is listened to here
		enqueue(t, new)
		w.woken(t)
		drain(t, new, w)
	}
}
