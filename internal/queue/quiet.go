package queue

import (
	"context"
	"errors"
	"time"
)

// signalTTL is how long a signal waits for a process to take it; Sidekiq's own is the same.
const signalTTL = 60 * time.Second

// Quiet tells Sidekiq processes of an owner to take no more jobs, as Sidekiq's web interface does:
// it puts TSTP on the list <identity>-signals, from which a process takes one at each heartbeat.
// Nothing makes a process take jobs again. This is the only thing that is ever written to Redis.
// The error is an *Error.
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

// quiet puts the signal on each list.
func (c *connection) quiet(ctx context.Context, keys []string) error {
	pipe := c.client.TxPipeline()
	for _, key := range keys {
		pipe.LPush(ctx, key, "TSTP")
		pipe.Expire(ctx, key, signalTTL)
	}
	if _, err := pipe.Exec(ctx); err != nil {
		known := classify(err, "")
		if known.Kind == Unauthorized {
			known.Message = "the Redis user may not drain: give it +multi +exec +lpush +expire and the keys' pattern ~*-signals, or set spec.drain.mode to None"
		}
		return known
	}
	return nil
}
