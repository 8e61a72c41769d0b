package queue

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"
)

// signalTTL is how long a signal waits for a process to take it; Sidekiq's own is the same.
const signalTTL = 60 * time.Second

// Quiet tells Sidekiq processes of an owner to take no more jobs, as Sidekiq's web interface does:
// it puts TSTP on the list <identity>-signals, from which a process takes one at each heartbeat.
// Nothing makes a process take jobs again. This is the only thing that is ever written to Redis.
// An error of kind Unauthorized says that nobody was told; after any other one some may have been.
func (h *Hub) Quiet(ctx context.Context, id string, identities []string) *Error {
	h.mu.Lock()
	known, ok := h.owners[id]
	h.mu.Unlock()
	if !ok || known.spec.System != Sidekiq {
		return &Error{Kind: Unreachable, Message: "there is no Sidekiq queue to drain", cause: errors.New("queue: not watched")}
	}
	keys := make([]string, len(identities))
	for i, identity := range identities {
		keys[i] = known.spec.KeyPrefix + identity + "-signals"
	}
	if err := h.signal(ctx, keys); err != nil {
		return classify(err, "")
	}
	return nil
}

// quiet puts the signal on each list. It is Unauthorized only if it put it on none: go-redis returns
// from a pipeline that a refused connection ended without any error, so that only a length tells.
func (c *connection) quiet(ctx context.Context, keys []string) error {
	pipe := c.client.Pipeline()
	told := make([]*redis.IntCmd, len(keys))
	for i, key := range keys {
		told[i] = pipe.LPush(ctx, key, "TSTP")
		pipe.Expire(ctx, key, signalTTL)
	}
	_, err := pipe.Exec(ctx)
	var refused *Error
	for _, command := range told {
		switch {
		case command.Val() > 0:
			continue
		case !isReply(command.Err()):
			return cmp.Or(command.Err(), err, errUnanswered)
		}
		if refused = classify(command.Err(), ""); demoted(refused) {
			c.hangUp()
		}
	}
	if refused == nil {
		return nil
	}
	if refused.Kind == Unauthorized {
		refused.Message = "the Redis user may not drain: give it +lpush +expire and the keys' pattern ~*-signals, or set spec.drain.mode to None"
	}
	if slices.ContainsFunc(told, func(command *redis.IntCmd) bool { return command.Val() > 0 }) {
		refused.Kind = Unreachable
	}
	return refused
}
