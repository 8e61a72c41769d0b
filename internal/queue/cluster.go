package queue

import (
	"context"
	"slices"
	"sync"

	"github.com/redis/go-redis/v9"
)

// clusterClient makes a client that sends each command to the master that holds its key. Every key is
// read by itself, so that no command asks for keys of two slots. TIME is asked of any of the masters:
// like the users' machines they keep the same time, as ages in a cluster depend on that anyway.
func (c *connection) clusterClient() *redis.ClusterClient {
	node := c.options("")
	client := redis.NewClusterClient(&redis.ClusterOptions{
		Addrs:                    c.endpoint.addresses(),
		Dialer:                   node.Dialer,
		OnConnect:                node.OnConnect,
		Username:                 node.Username,
		Password:                 node.Password,
		DisableIdentity:          node.DisableIdentity,
		MaintNotificationsConfig: node.MaintNotificationsConfig,
		PoolSize:                 node.PoolSize,
		PipelinePoolSize:         -1, // none beside the one, which asks for the nodes as well
		MaxRetries:               node.MaxRetries,
		DialerRetries:            node.DialerRetries,
		DialTimeout:              node.DialTimeout,
		ReadTimeout:              node.ReadTimeout,
		WriteTimeout:             node.WriteTimeout,
		ContextTimeoutEnabled:    node.ContextTimeoutEnabled,
		ReadBufferSize:           node.ReadBufferSize,
		WriteBufferSize:          node.WriteBufferSize,
	})
	client.OnNewNode(func(node *redis.Client) { node.AddHook(redirections{c}) })
	return client
}

// masters are the addresses of the masters that hold slots now.
func (c *connection) masters(ctx context.Context) ([]string, error) {
	var mu sync.Mutex
	var addresses []string
	err := c.client.(*redis.ClusterClient).ForEachMaster(ctx, func(_ context.Context, master *redis.Client) error {
		mu.Lock()
		defer mu.Unlock()
		addresses = append(addresses, master.Options().Addr)
		return nil
	})
	slices.Sort(addresses)
	return addresses, err
}

// distrustMoved takes looks for failed that found no work while keys moved from node to node: they may
// have looked for a job where it was not yet, and where it was no more.
func (c *connection) distrustMoved(looks []*look) {
	if !c.redirected.Swap(false) {
		return
	}
	c.moves.tell()
	for _, l := range looks {
		if l.err == nil && !l.result.Active() {
			fail([]*look{l}, &Error{Kind: Unreachable, Message: "the Redis cluster is moving keys between its nodes"})
		}
	}
}

// redirections is a hook that notes when a node sends commands to another.
type redirections struct{ *connection }

// DialHook changes nothing.
func (redirections) DialHook(next redis.DialHook) redis.DialHook { return next }

// ProcessHook changes nothing: single commands only ask for the cluster's nodes.
func (redirections) ProcessHook(next redis.ProcessHook) redis.ProcessHook { return next }

// ProcessPipelineHook looks at the replies.
func (r redirections) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, commands []redis.Cmder) error {
		err := next(ctx, commands)
		if slices.ContainsFunc(commands, isRedirected) {
			r.redirected.Store(true)
		}
		return err
	}
}

func isRedirected(command redis.Cmder) bool {
	_, moved := redis.IsMovedError(command.Err())
	_, asked := redis.IsAskError(command.Err())
	return moved || asked
}
