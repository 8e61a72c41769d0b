package queue

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"
)

var errMoved = errors.New("the keys are on other servers now")

// listen listens to all servers where a key may be written, until the context ends, one connection
// breaks or the servers are others.
func (c *connection) listen(ctx context.Context, prefixes []string, to listener) error {
	moved := c.moves.wait()
	servers, err := c.servers(ctx)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	together := &together{listener: to, awaited: len(servers)}
	var all sync.WaitGroup
	for _, server := range servers {
		all.Go(func() { cancel(c.endpoint.listenAt(ctx, server, prefixes, together)) })
	}
	all.Go(func() { cancel(c.awaitMove(ctx, servers, moved)) })
	all.Wait()
	return context.Cause(ctx)
}

// awaitMove returns when the servers are others than these. Which server stands behind the one address of a
// URL nobody says, so that there each sign of a move counts for one.
func (c *connection) awaitMove(ctx context.Context, servers []string, moved <-chan struct{}) error {
	if c.endpoint.Mode == ModeStandalone {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-moved:
			return errMoved
		}
	}
	ticker := time.NewTicker(topologyPeriod)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-moved:
			moved = c.moves.wait()
		case <-ticker.C:
		}
		// Whoever cannot say is no reason to stop listening.
		if now, err := c.servers(ctx); err == nil && !slices.Equal(now, servers) {
			return errMoved
		}
	}
}

// together makes one listening connection of several: armed when all are.
type together struct {
	listener
	awaited int

	mu       sync.Mutex
	barriers []barrier
}

func (t *together) armed(one barrier) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.barriers = append(t.barriers, one); len(t.barriers) == t.awaited {
		t.listener.armed(t.barrier)
	}
}

// barrier waits for all of the connections.
func (t *together) barrier(ctx context.Context) error {
	failed := make(chan error, len(t.barriers))
	for _, one := range t.barriers {
		go func() { failed <- one(ctx) }()
	}
	var err error
	for range t.barriers {
		err = errors.Join(err, <-failed)
	}
	return err
}
