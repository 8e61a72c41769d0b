package queue

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

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
			break
		}
		if err := c.exec(ctx, b, first); err != nil {
			fail(pending, err)
			break
		}
	}
	c.distrustMoved(looks)
	if slices.ContainsFunc(looks, func(l *look) bool { return l.err != nil && demoted(l.err) }) {
		c.hangUp()
	}
	renewal := c.lineage.take()
	for _, l := range looks {
		l.renewal = renewal
	}
}

// fail ends looks with an error of the connection.
func fail(looks []*look, err error) {
	for _, l := range looks {
		l.err, l.broken, l.step = classify(err, ""), true, nil
	}
}

// exec sends a batch, and asks along whether what the server holds is up to date. A cluster needs no
// such question: only masters answer, and none that is cut off from most of the others.
func (c *connection) exec(ctx context.Context, b *batch, first bool) error {
	if !first || c.roleRefused || c.endpoint.Mode == ModeCluster {
		return b.exec(ctx, c.client)
	}
	role := b.role()
	if err := b.exec(ctx, c.client); err != nil {
		return err
	}
	c.roleRefused = role.Err() != nil
	misplaced := staleness
	if c.endpoint.Mode == ModeSentinel {
		misplaced = demotion
	}
	err := misplaced(role.Val())
	if err != nil {
		c.hangUp()
	}
	return err
}

// demoted reports whether an error is a reply that only a replica gives: one that takes no writes, or that
// has lost its primary and answers nothing until it is back.
func demoted(err error) bool {
	var reply redis.Error
	return errors.As(err, &reply) && (strings.HasPrefix(reply.Error(), "MASTERDOWN") || strings.HasPrefix(reply.Error(), "READONLY"))
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
