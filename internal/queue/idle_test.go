package queue

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/queuescaler/queuescaler/test/redisserver"
)

// overTLS says how to reach a server, be there TLS or not.
func overTLS(t *testing.T, url string) Endpoint {
	t.Helper()
	return parsed(t, url, Settings{Verification: VerifyNone})
}

// TestClosedWhileIdle has the server close all connections between two looks, as servers close idle ones: no look
// fails, and the idle spell goes on.
func TestClosedWhileIdle(t *testing.T) {
	for _, tls := range []bool{false, true} {
		t.Run(fmt.Sprintf("TLS %t", tls), func(t *testing.T) {
			t.Parallel()
			server := redisserver.StartT(t, redisserver.Options{TLS: tls})
			endpoint := overTLS(t, server.URL())
			connection, admin := endpoint.connect(), newClient(endpoint)
			defer func() { _, _ = connection.client.Close(), admin.Close() }()
			tracker := tracker{maxGap: time.Hour}
			first := lookWith(t, connection, &tracker)
			for range 3 {
				do(t, admin, cmd("client", "kill", "type", "normal", "skipme", "yes"))
				if s := lookWith(t, connection, &tracker); !s.Known() || !s.IdleSince.Equal(first.IdleSince) {
					t.Errorf("%v, idle since %v, first since %v", s.Err, s.IdleSince, first.IdleSince)
				}
			}
		})
	}
}

// TestHungUp has the very next look after a failover behind an address find the new primary.
func TestHungUp(t *testing.T) {
	for _, tls := range []bool{false, true} {
		t.Run(fmt.Sprintf("TLS %t", tls), func(t *testing.T) {
			t.Parallel()
			old := redisserver.StartT(t, redisserver.Options{TLS: tls})
			new := redisserver.StartT(t, redisserver.Options{TLS: tls})
			forwarder := startProxy(t, old.Addr())
			scheme, _, _ := strings.Cut(old.URL(), "://")
			connection := overTLS(t, scheme+"://"+forwarder.listener.Addr().String()).connect()
			admin := newClient(overTLS(t, old.URL()))
			defer func() { _, _ = connection.client.Close(), admin.Close() }()
			tracker := tracker{maxGap: time.Hour}
			first := lookWith(t, connection, &tracker)
			forwarder.leadTo(new.Addr())
			do(t, admin, cmd("replicaof", "127.0.0.1", "1"))
			if s := lookWith(t, connection, &tracker); s.Known() || !strings.Contains(s.Err.Message, "lost its primary") {
				t.Errorf("a replica that lost its primary is believed: %v", s.Err)
			}
			if s := lookWith(t, connection, &tracker); !s.Known() || !s.IdleSince.After(first.IdleSince) {
				t.Errorf("the new primary is not read: %v, idle since %v", s.Err, s.IdleSince)
			}
		})
	}
}

// lookWith takes one look at an empty queue in, as a Hub does.
func lookWith(t *testing.T, c *connection, tracker *tracker) Snapshot {
	t.Helper()
	reader, err := newReader(two)
	if err != nil {
		t.Fatal(err)
	}
	l := &look{result: Observation{Start: time.Now()}}
	l.step = reader.look(&l.result)
	c.read(t.Context(), []*look{l})
	if l.err != nil {
		tracker.failed(l.err)
		return tracker.snapshot
	}
	l.result.End = time.Now()
	tracker.saw(l.result)
	return tracker.snapshot
}
