package queue

import (
	"context"
	"time"

	"github.com/redis/go-redis/v9"
)

// connection is the one that a Hub reads with.
type connection struct {
	client *redis.Client
	// roleRefused says that the user may not ask for the server's role.
	roleRefused bool
}

// readTimeout bounds a read of all owners that are due, its round trips together.
const readTimeout = 20 * time.Second

// read makes the looks, all their round trips side by side.
func (c *connection) read(ctx context.Context, looks []*look) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	readsTotal.Add(1)
	for first := true; ; first = false {
		b := newBatch()
		pending := looks[:0:0]
		for _, l := range looks {
			if l.advance(b) {
				pending = append(pending, l)
			}
		}
		if len(pending) == 0 {
			return
		}
		if err := c.exec(ctx, b, first); err != nil {
			for _, l := range pending {
				l.err, l.broken, l.step = classify(err, ""), true, nil
			}
			return
		}
	}
}

// exec sends a batch, and asks along whether what the server holds is up to date.
func (c *connection) exec(ctx context.Context, b *batch, askRole bool) error {
	if !askRole || c.roleRefused {
		return b.exec(ctx, c.client)
	}
	role := b.role()
	if err := b.exec(ctx, c.client); err != nil {
		return err
	}
	c.roleRefused = role.Err() != nil
	return staleness(role.Val())
}

// staleness is an error if a server is a replica that has lost its primary: it goes on answering,
// with what was true then. ROLE answers "slave", the primary's host and port, and the link's state.
func staleness(role []any) error {
	if len(role) < 4 || role[0] != "slave" || role[3] == "connected" {
		return nil
	}
	return &Error{Kind: Unreachable, Message: "Redis is a replica that has lost its primary: what it holds may be out of date"}
}

// advance runs the look's next step, and says whether it has one more.
func (l *look) advance(b *batch) bool {
	if l.step == nil {
		return false
	}
	next, err := l.step(b)
	if err != nil {
		l.err = classify(err, "")
		next = nil
	}
	l.step = next
	return next != nil
}
