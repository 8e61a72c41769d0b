package queue

import (
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/queuescaler/queuescaler/test/redisserver"
)

// documented are the rights that the documentation asks for.
var documented = []string{"~*", "resetchannels", "&queuescaler", "-@all", "+@read", "+@connection", "+time", "+role", "+info", "+subscribe"}

// TestQuiet has users with and without the right to drain.
func TestQuiet(t *testing.T) {
	const one, two = "worker.1:4:a", "worker.2:4:b"
	for name, test := range map[string]struct {
		rights []string
		told   map[string]bool
		kind   ErrorKind
	}{
		"all rights":        {nil, map[string]bool{one: true, two: true}, ""},
		"documented rights": {append(documented[:len(documented):len(documented)], "(+lpush +expire %W~worker.*-signals)"), map[string]bool{one: true, two: true}, ""},
		"reads only":        {documented, nil, Unauthorized},
		"one of two":        {append(documented[:len(documented):len(documented)], "(+lpush %W~worker.1*-signals)"), map[string]bool{one: true}, Unreachable},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := redisserver.StartT(t, redisserver.Options{User: "drainer", Password: canary, Rights: test.rights,
				Args: []string{"--user", "writer", "on", "nopass", "~*", "+@all"}})
			hub := newHub(t, server.URL(), Spec{System: Sidekiq, Names: []string{"default"}, KeyPrefix: ""}, "a")
			err := hub.Quiet(t.Context(), "a", []string{one, two})
			if (err == nil) != (test.kind == "") || (err != nil && (err.Kind != test.kind || !strings.Contains(err.Message, "spec.drain.mode"))) {
				t.Errorf("got %v", err)
			}
			writer := redis.NewClient(&redis.Options{Addr: server.Addr(), Username: "writer", Password: "any"})
			defer func() { _ = writer.Close() }()
			for _, identity := range []string{one, two} {
				signal := writer.LIndex(t.Context(), identity+"-signals", 0).Val()
				if (signal == "TSTP") != test.told[identity] {
					t.Errorf("%s has signal %q", identity, signal)
				}
			}
			if ttl := writer.PTTL(t.Context(), two+"-signals").Val(); test.told[two] && (ttl <= 0 || ttl > time.Minute) {
				t.Errorf("the signal lasts %v", ttl)
			}
		})
	}
}

// TestQuietNeedsSidekiq: no other job system knows of signals.
func TestQuietNeedsSidekiq(t *testing.T) {
	server := redisserver.StartT(t, redisserver.Options{})
	hub := newHub(t, server.URL(), Spec{System: List, Names: []string{"jobs"}}, "a")
	for _, id := range []string{"a", "nobody"} {
		if err := hub.Quiet(t.Context(), id, []string{"x"}); err == nil {
			t.Errorf("%s: no error", id)
		}
	}
	if n := clientOf(t, server.URL()).DBSize(t.Context()).Val(); n != 0 {
		t.Errorf("%d keys", n)
	}
}

func TestDynoOf(t *testing.T) {
	for identity, want := range map[string]string{
		"worker.1:4:abc":                    "worker.1",
		"worker.12:4:abc":                   "worker.12",
		"worker-23z34x56y-w78k9:2:abc":      "worker-23z34x56y-w78k9",
		"worker.0:4:abc":                    "",
		"worker.01:4:abc":                   "",
		"worker.x:4:abc":                    "",
		"worker:4:abc":                      "",
		"worker2.1:4:abc":                   "",
		"myworker.1:4:abc":                  "",
		"worker-fast.1:4:abc":               "",
		"worker-fast-23z34x56y-w78k9:2:abc": "",
		"worker-23z34x56y:2:abc":            "",
		"host.example.com:4:abc":            "",
		"":                                  "",
	} {
		if got := dynoOf(identity, "worker"); got != want {
			t.Errorf("%q is dyno %q, want %q", identity, got, want)
		}
	}
	if got := dynoOf("worker.1:4:abc", ""); got != "" {
		t.Errorf("without a process type it is %q", got)
	}
}
