package queue

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
)

// connection is the one that a Hub reads with: one to each node, where there are several.
type connection struct {
	endpoint Endpoint
	client   redis.UniversalClient
	// roleRefused says that the user may not ask for the server's role.
	roleRefused bool
	// dialled is the connection in use, except to a cluster.
	dialled atomic.Pointer[net.Conn]
	// lineage is of the servers that were read.
	lineage lineage
	// redirected says that a node of a cluster sent commands to another.
	redirected atomic.Bool
	// moves tells those who listen that the servers may have changed their parts.
	moves broadcast
}

// connect prepares a connection, which is made when it is first used.
func (e Endpoint) connect() *connection {
	c := &connection{endpoint: e}
	switch e.Mode {
	case ModeCluster:
		c.client = c.clusterClient()
	case ModeSentinel:
		c.client = c.sentinelClient()
	default:
		options := c.options(e.Addresses)
		options.Dialer = c.noting(options.Dialer)
		c.client = redis.NewClient(options)
	}
	return c
}

// options are those of a client that reads.
func (c *connection) options(address string) *redis.Options {
	options := c.endpoint.options(address)
	if c.endpoint.TLS { // go-redis looks at the others by itself, and hears what a server that is full says unasked
		options.Dialer = sensing(options.Dialer)
	}
	options.OnConnect = func(ctx context.Context, conn *redis.Conn) error {
		if err := setName(ctx, conn); err != nil {
			return err
		}
		return c.lineage.greet(ctx, conn)
	}
	return options
}

// noting is a dialer that notes the connection it makes.
func (c *connection) noting(dial dialer) dialer {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dial(ctx, network, address)
		if err == nil {
			c.dialled.Store(&conn)
		}
		return conn, err
	}
}

// hangUp ends the connection to a server that is no primary any more, and has those who listen there listen
// anew: the address may lead to another server by now, which only a new connection finds.
func (c *connection) hangUp() {
	if conn := c.dialled.Load(); conn != nil {
		_ = (*conn).Close()
	}
	c.moves.tell()
}

// servers are the addresses of all servers where a key may be written now.
func (c *connection) servers(ctx context.Context) ([]string, error) {
	switch c.endpoint.Mode {
	case ModeCluster:
		return c.masters(ctx)
	case ModeSentinel:
		primary, err := c.endpoint.primary(ctx)
		return []string{primary}, err
	}
	return c.endpoint.addresses(), nil
}

// topologyPeriod is the time between two looks whether the servers are still the same.
const topologyPeriod = 10 * time.Second

// broadcast tells all who wait at once.
type broadcast struct {
	mu   sync.Mutex
	next chan struct{}
}

// wait returns a channel that is closed at the next tell.
func (b *broadcast) wait() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.next == nil {
		b.next = make(chan struct{})
	}
	return b.next
}

func (b *broadcast) tell() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.next != nil {
		close(b.next)
		b.next = nil
	}
}
