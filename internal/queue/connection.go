package queue

import (
	"context"
	"net"
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
	// dialled is the connection in use to a primary that sentinels named.
	dialled atomic.Pointer[net.Conn]
	// redirected says that a node of a cluster sent commands to another.
	redirected atomic.Bool
	// moved holds a token when the servers may have changed their parts.
	moved chan struct{}
}

// connect prepares a connection, which is made when it is first used.
func (e Endpoint) connect() *connection {
	c := &connection{endpoint: e, moved: make(chan struct{}, 1)}
	switch e.Mode {
	case ModeCluster:
		c.client = c.clusterClient()
	case ModeSentinel:
		c.client = c.sentinelClient()
	default:
		c.client = redis.NewClient(e.options(e.Addresses))
	}
	return c
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

// noteMove has it be looked soon whether the servers are still the same.
func (c *connection) noteMove() {
	select {
	case c.moved <- struct{}{}:
	default:
	}
}

// topologyPeriod is the time between two looks whether the servers are still the same.
const topologyPeriod = 10 * time.Second
