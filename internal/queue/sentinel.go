package queue

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	// sentinelTimeout is for a sentinel's answer: others may know as well.
	sentinelTimeout = 2 * time.Second
	// primaryLifetime is the longest time that a primary is believed to be one without the sentinels
	// being asked again: one that is cut off from them goes on answering, and nobody writes to it.
	primaryLifetime = 30 * time.Second
)

// sentinelClient makes a client that asks the sentinels whenever it connects. go-redis's own failover
// client believes one sentinel alone, and keeps two more connections to that.
func (c *connection) sentinelClient() *redis.Client {
	options := c.options("")
	options.ConnMaxLifetime = primaryLifetime
	dial := c.noting(options.Dialer)
	options.Dialer = func(ctx context.Context, network, _ string) (net.Conn, error) {
		address, err := c.endpoint.primary(ctx)
		if err != nil {
			return nil, err
		}
		return dial(ctx, network, address)
	}
	return redis.NewClient(options)
}

// demotion is an error if the server is no primary any more.
func demotion(role []any) error {
	if len(role) == 0 || role[0] != "slave" {
		return nil
	}
	return &Error{Kind: Unreachable, Message: "Redis is failing over: the server that the sentinels named is a replica"}
}

// answer is what one sentinel says.
type answer struct {
	address string
	err     error
}

// primary asks all sentinels for the primary's address, and returns what most of them say: one that is
// cut off from the others may not have heard of a failover.
func (e Endpoint) primary(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, sentinelTimeout)
	defer cancel()
	sentinels := e.addresses()
	answers := make(chan answer, len(sentinels))
	for _, sentinel := range sentinels {
		go func() { answers <- e.ask(ctx, sentinel) }()
	}
	votes, best := map[string]int{}, answer{err: errors.New("no sentinel answered")}
	for range sentinels {
		next := <-answers
		if next.err != nil {
			if best.address == "" {
				best = next
			}
			continue
		}
		if votes[next.address]++; votes[next.address] > votes[best.address] {
			best = next
		}
		if votes[best.address] > len(sentinels)/2 {
			break
		}
	}
	return best.address, best.err
}

// ask asks one sentinel.
func (e Endpoint) ask(ctx context.Context, sentinel string) answer {
	options := e.options(sentinel)
	options.DB, options.Username, options.Password = 0, "", string(e.SentinelPassword)
	options.OnConnect = nil
	client := redis.NewSentinelClient(options)
	defer func() { _ = client.Close() }()
	pair, err := client.GetMasterAddrByName(ctx, e.PrimaryName).Result()
	switch {
	case err == nil && len(pair) == 2:
		return answer{address: net.JoinHostPort(pair[0], pair[1])}
	case errors.Is(err, redis.Nil):
		err = &Error{Kind: Unreachable, cause: err,
			Message: fmt.Sprintf("the sentinels know no primary %q: check spec.redis.sentinel.masterName", e.PrimaryName)}
	default:
		err = explainSentinel(err)
	}
	return answer{err: err}
}

// explainSentinel tells a sentinel's errors from those of the servers.
func explainSentinel(err error) error {
	known := *classify(err, "")
	if known.Kind == Unauthorized {
		known.Message = "the sentinels refuse the operator: check spec.redis.sentinel.passwordSecretRef"
	} else {
		known.Message = "asking the sentinels for the primary: " + known.Message
	}
	return &known
}
