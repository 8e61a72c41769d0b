package queue

import (
	"context"
	"errors"
	"net"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/push"
)

// listener is told what a listening connection learns.
type listener interface {
	// armed says that from now on every write under the prefixes is told. The barrier holds until the
	// connection ends.
	armed(barrier barrier)
	// pushed tells which keys were written, or taken from; nil says that any may have been.
	pushed(keys []string)
}

// barrier returns when all writes that Redis had seen before the call have been told.
type barrier func(context.Context) error

const (
	// channel is subscribed to so that Redis bounds the connection's output buffer: without a
	// subscription a reader that hangs would make it grow for ever. Nobody publishes there.
	channel = "queuescaler"
	// heartbeatPeriod is the time between two signs of life that are asked of the connection, since a
	// network that drops its packets breaks it without an error; pongPatience is for the answer.
	heartbeatPeriod = 5 * time.Second
	pongPatience    = 3 * time.Second
)

// refusal is an error reply to CLIENT TRACKING: this server, or its rules for this user, has no
// pushes to give.
type refusal struct{ error }

func (r refusal) Unwrap() error { return r.error }

var errSpent = errors.New("the connection broke")

// listenAt holds one connection on which a server pushes the keys under the prefixes that are written
// (CLIENT TRACKING ON BCAST, Redis 6 and later), until the context ends or the connection breaks.
func (e Endpoint) listenAt(ctx context.Context, address string, prefixes []string, to listener) error {
	client := redis.NewClient(e.listenOptions(address, prefixes))
	defer func() { _ = client.Close() }()
	if err := client.RegisterPushNotificationHandler("invalidate", invalidations{to}, false); err != nil {
		return err
	}
	pubsub := client.Subscribe(ctx)
	defer func() { _ = pubsub.Close() }()
	if err := pubsub.Subscribe(ctx, channel); err != nil {
		return err
	}
	l := &listening{pubsub: pubsub, broken: make(chan struct{})}
	defer close(l.broken)
	defer context.AfterFunc(ctx, l.end)()
	// The first reply is to SUBSCRIBE: go-redis sends it after OnConnect has armed the connection.
	if err := l.receive(ctx); err != nil {
		return err
	}
	to.armed(l.barrier)
	go l.keepAlive(ctx)
	for {
		if err := l.receive(ctx); err != nil {
			return err
		}
	}
}

// listenOptions make a client that connects once: go-redis would reconnect without a word.
func (e Endpoint) listenOptions(address string, prefixes []string) *redis.Options {
	options := e.options(address)
	dial, dialled := options.Dialer, false
	options.Dialer = func(ctx context.Context, network, address string) (net.Conn, error) {
		if dialled {
			return nil, errSpent
		}
		dialled = true
		return dial(ctx, network, address)
	}
	options.OnConnect = func(ctx context.Context, conn *redis.Conn) error {
		if err := setName(ctx, conn); err != nil {
			return err
		}
		err := conn.ClientTrackingOn(ctx, &redis.ClientTrackingOptions{Bcast: true, Prefixes: prefixes}).Err()
		if isReply(err) {
			return refusal{err}
		}
		return err
	}
	return options
}

// listening is a connection in use.
type listening struct {
	pubsub *redis.PubSub
	broken chan struct{} // closed when nothing is received any more

	mu    sync.Mutex
	pings []chan struct{} // those not yet answered, in order
}

func (l *listening) end() { _ = l.pubsub.Close() }

// receive waits for a reply. One without a deadline, since go-redis would lose its place in the
// stream if a deadline passed amid a push. An error reply is a sign of life like any other: a user
// that may not SUBSCRIBE or PING is pushed to all the same.
func (l *listening) receive(ctx context.Context) error {
	message, err := l.pubsub.Receive(ctx)
	if err != nil && !isReply(err) {
		return err
	}
	if _, ok := message.(*redis.Subscription); !ok {
		l.answered()
	}
	return nil
}

func (l *listening) answered() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.pings) > 0 {
		close(l.pings[0])
		l.pings = l.pings[1:]
	}
}

// barrier sends a PING: the writes before it are pushed before its answer.
func (l *listening) barrier(ctx context.Context) error {
	pong := make(chan struct{})
	l.mu.Lock()
	err := l.pubsub.Ping(ctx)
	if err == nil {
		l.pings = append(l.pings, pong)
	}
	l.mu.Unlock()
	if err != nil {
		return err
	}
	select {
	case <-pong:
		return nil
	case <-l.broken:
		return errSpent
	case <-ctx.Done():
		return ctx.Err()
	}
}

// keepAlive ends the connection when it gives no sign of life.
func (l *listening) keepAlive(ctx context.Context) {
	for {
		select {
		case <-l.broken:
			return
		case <-time.After(onPulse(time.Now(), heartbeatPeriod)):
		}
		if l.silent(ctx) {
			l.end()
			return
		}
	}
}

func (l *listening) silent(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, pongPatience)
	defer cancel()
	return l.barrier(ctx) != nil
}

// invalidations takes the pushes in: "invalidate" and a list of keys, or nil after FLUSHDB and
// FLUSHALL.
type invalidations struct{ to listener }

func (i invalidations) HandlePushNotification(_ context.Context, _ push.NotificationHandlerContext, message []any) error {
	if len(message) < 2 {
		return nil
	}
	list, ok := message[1].([]any)
	if !ok {
		i.to.pushed(nil)
		return nil
	}
	keys := make([]string, 0, len(list))
	for _, item := range list {
		if key, ok := item.(string); ok {
			keys = append(keys, key)
		}
	}
	i.to.pushed(keys)
	return nil
}
