package queue

import (
	"bufio"
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/queuescaler/queuescaler/test/redisserver"
)

// sentinel is one whose answers a test decides on.
type sentinel struct {
	listener net.Listener
	reply    atomic.Value // what it says, as on the wire
}

func startSentinel(t *testing.T, reply string) *sentinel {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	s := &sentinel{listener: listener}
	s.reply.Store(reply)
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go s.serve(conn)
		}
	}()
	return s
}

// serve answers every command but the question with an error, as an old sentinel does.
func (s *sentinel) serve(conn net.Conn) {
	defer func() { _ = conn.Close() }()
	for lines := bufio.NewScanner(conn); lines.Scan(); {
		reply := ""
		switch strings.ToLower(lines.Text()) {
		case "hello":
			reply = "-ERR unknown command\r\n"
		case "get-master-addr-by-name":
			reply = s.reply.Load().(string)
		}
		if _, err := conn.Write([]byte(reply)); err != nil {
			return
		}
	}
}

// naming is the answer that names an address.
func naming(address string) string {
	host, port, _ := net.SplitHostPort(address)
	return fmt.Sprintf("*2\r\n$%d\r\n%s\r\n$%d\r\n%s\r\n", len(host), host, len(port), port)
}

func sentinelEndpoint(t *testing.T, sentinels ...*sentinel) Endpoint {
	t.Helper()
	var addresses []string
	for _, s := range sentinels {
		addresses = append(addresses, s.listener.Addr().String())
	}
	return parsed(t, "redis://"+strings.Join(addresses, ","), Settings{Mode: ModeSentinel, PrimaryName: "shop"})
}

func parsed(t *testing.T, url string, settings Settings) Endpoint {
	t.Helper()
	endpoint, err := ParseEndpoint(url, settings)
	if err != nil {
		t.Fatal(err)
	}
	return endpoint
}

func TestSentinelsVote(t *testing.T) {
	const old, new, unknown = "10.0.0.1:6379", "[2001:db8::1]:6380", "*-1\r\n"
	dead := startSentinel(t, "")
	_ = dead.listener.Close()
	says := func(address string) *sentinel { return startSentinel(t, naming(address)) }
	for name, test := range map[string]struct {
		sentinels []*sentinel
		want      string // an address, or a part of the error
	}{
		"one":                      {[]*sentinel{says(new)}, new},
		"all agree":                {[]*sentinel{says(new), says(new), says(new)}, new},
		"one has not heard of it":  {[]*sentinel{says(old), says(new), says(new)}, new},
		"one is away":              {[]*sentinel{dead, says(new), says(new)}, new},
		"one is left":              {[]*sentinel{dead, says(new), dead}, new},
		"one does not know it":     {[]*sentinel{startSentinel(t, unknown), says(new)}, new},
		"none knows it":            {[]*sentinel{startSentinel(t, unknown), startSentinel(t, unknown)}, "spec.redis.sentinel.masterName"},
		"none is there":            {[]*sentinel{dead}, "sentinels"},
		"they ask for a password":  {[]*sentinel{startSentinel(t, "-NOAUTH Authentication required.\r\n")}, "spec.redis.sentinel.passwordSecretRef"},
		"an answer that is no one": {[]*sentinel{startSentinel(t, "+OK\r\n")}, "sentinels"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := sentinelEndpoint(t, test.sentinels...).primary(t.Context())
			if err != nil {
				got = err.Error()
			}
			if got != test.want && (err == nil || !strings.Contains(got, test.want)) {
				t.Errorf("got %s, want %s", got, test.want)
			}
		})
	}
}

// demote makes a primary the other's replica, of which the sentinel then knows.
func demote(t *testing.T, old, new *redisserver.Server, s *sentinel) {
	t.Helper()
	do(t, clientOf(t, old.URL()), cmd("replicaof", "127.0.0.1", fmt.Sprint(new.Port())))
	awaitInfo(t, clientOf(t, old.URL()), "master_link_status:up")
	s.reply.Store(naming(new.Addr()))
}

// TestDemotedPrimaryIsNotRead has the primary become a replica without its connections ending.
func TestDemotedPrimaryIsNotRead(t *testing.T) {
	t.Parallel()
	old, new := redisserver.StartT(t, redisserver.Options{}), redisserver.StartT(t, redisserver.Options{})
	s := startSentinel(t, naming(old.Addr()))
	connection := sentinelEndpoint(t, s).connect()
	defer func() { _ = connection.client.Close() }()
	read := func() *look {
		reader, err := newReader(two)
		if err != nil {
			t.Fatal(err)
		}
		l := &look{result: Observation{Start: time.Now()}}
		l.step = reader.look(&l.result)
		connection.read(t.Context(), []*look{l})
		return l
	}
	if l := read(); l.err != nil {
		t.Fatal(l.err)
	}
	demote(t, old, new, s)
	if l := read(); l.err == nil || !strings.Contains(l.err.Message, "failing over") {
		t.Errorf("a demoted primary is believed: %v", l.err)
	}
	enqueue(t, clientOf(t, new.URL()))
	if l := read(); l.err != nil || l.result.Depth != 1 {
		t.Errorf("the new primary is not read: %+v, %v", l.result, l.err)
	}
}

// TestDemotedPrimaryIsLeft has the Hub follow, and the old primary die when nobody needs it.
func TestDemotedPrimaryIsLeft(t *testing.T) {
	t.Parallel()
	old, new := redisserver.StartT(t, redisserver.Options{}), redisserver.StartT(t, redisserver.Options{})
	s := startSentinel(t, naming(old.Addr()))
	w := watchAt(t, sentinelEndpoint(t, s), two)
	w.armed(t)
	demote(t, old, new, s)
	client := clientOf(t, new.URL())
	enqueue(t, client)
	w.woken(t)
	drain(t, client, w)
	if err := old.Kill(); err != nil {
		t.Fatal(err)
	}
	w.armed(t)
	enqueue(t, client)
	w.woken(t)
}

// TestSentinelFailover has real sentinels fail over, on demand and when the primary dies.
func TestSentinelFailover(t *testing.T) {
	t.Parallel()
	first, second := redisserver.StartT(t, redisserver.Options{}), redisserver.StartT(t, redisserver.Options{})
	old, new := clientOf(t, first.URL()), clientOf(t, second.URL())
	do(t, new, cmd("replicaof", "127.0.0.1", fmt.Sprint(first.Port())))
	awaitInfo(t, old, "state=online")
	sentinels := redisserver.StartSentinelsT(t, 3, "shop", first, 1)
	w := watchAt(t, parsed(t, fmt.Sprintf("redis://%s,%s?addr=%s", sentinels[0].Addr(), sentinels[1].Addr(), sentinels[2].Addr()),
		Settings{Mode: ModeSentinel, PrimaryName: "shop"}), two)
	w.armed(t)

	do(t, clientOf(t, sentinels[0].URL()), cmd("sentinel", "failover", "shop"))
	takeOver(t, new, old, w)

	if err := second.Kill(); err != nil {
		t.Fatal(err)
	}
	awaitInfo(t, old, "role:master")
	enqueue(t, old)
	w.woken(t)
}
