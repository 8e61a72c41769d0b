package queue

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/queuescaler/queuescaler/test/redisserver"
)

// newRedis runs a Redis server for the test, with a client beside the one that is tested.
func newRedis(t testing.TB) *redis.Client {
	t.Helper()
	return clientOf(t, redisserver.StartT(t, redisserver.Options{}).URL())
}

// sharedRedis empties the shared server and connects to it.
func sharedRedis(t testing.TB) *redis.Client {
	t.Helper()
	client := clientOf(t, sharedServer.URL())
	do(t, client, cmd("flushall"))
	return client
}

func clientOf(t testing.TB, url string) *redis.Client {
	t.Helper()
	client := newClient(endpointOf(t, url))
	t.Cleanup(func() { _ = client.Close() })
	return client
}

func newClient(endpoint Endpoint) *redis.Client {
	return redis.NewClient(endpoint.options(endpoint.Addresses))
}

func endpointOf(t testing.TB, url string) Endpoint {
	t.Helper()
	endpoint, err := ParseEndpoint(url, Settings{})
	if err != nil {
		t.Fatal(err)
	}
	return endpoint
}

// do runs Redis commands, each a list of words.
func do(t testing.TB, client *redis.Client, commands ...[]any) {
	t.Helper()
	for _, command := range commands {
		if err := client.Do(context.Background(), command...).Err(); err != nil {
			t.Fatalf("%v: %v", command, err)
		}
	}
}

// cmd is a Redis command.
func cmd(words ...any) []any { return words }

// observer makes one owner's looks, without a Hub.
type observer struct {
	client *redis.Client
	reader reader
}

func newObserver(t testing.TB, client *redis.Client, spec Spec) *observer {
	t.Helper()
	reader, err := newReader(spec)
	if err != nil {
		t.Fatal(err)
	}
	return &observer{client, reader}
}

func (o *observer) look() (Observation, *Error) {
	l := &look{result: Observation{Start: time.Now()}}
	l.step = o.reader.look(&l.result)
	(&connection{client: o.client}).read(context.Background(), []*look{l})
	l.result.End = time.Now()
	return l.result, l.err
}

// observe looks once.
func observe(t testing.TB, client *redis.Client, spec Spec) Observation {
	t.Helper()
	observation, err := newObserver(t, client, spec).look()
	if err != nil {
		t.Fatal(err)
	}
	return observation
}

// now is Redis's time.
func now(t testing.TB, client *redis.Client) time.Time {
	t.Helper()
	now, err := client.Time(context.Background()).Result()
	if err != nil {
		t.Fatal(err)
	}
	return now
}

// job is a payload for a queue.
func job(queue string) string { return fmt.Sprintf(`{"class":"Job","args":[],"queue":%q}`, queue) }

// beat writes a process as its heartbeat does.
func beat(t testing.TB, client *redis.Client, identity, info, busy string) {
	t.Helper()
	do(t, client,
		cmd("sadd", "processes", identity),
		cmd("hset", identity, "info", info, "busy", busy, "quiet", "false"),
		cmd("expire", identity, 60))
}

// serving is the info of a process that works on queues.
func serving(queues ...string) string { return fmt.Sprintf(`{"queues":%s}`, quoted(queues)) }

func quoted(words []string) string {
	text := "["
	for i, word := range words {
		if i > 0 {
			text += ","
		}
		text += fmt.Sprintf("%q", word)
	}
	return text + "]"
}

// between fails unless low ≤ got ≤ high, give or take the rounding of recorded times.
func between(t testing.TB, what string, got, low, high time.Duration) {
	t.Helper()
	const rounding = 2 * time.Millisecond
	if got < low-rounding || got > high+rounding {
		t.Errorf("%s is %v, want from %v to %v", what, got, low, high)
	}
}
