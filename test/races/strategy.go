package races

import (
	"context"
	"math/rand/v2"
	"time"

	v1 "github.com/queuescaler/queuescaler/api/v1"
)

// strategy chooses the moment of a probe in a lane whose worker has just become idle.
type strategy struct {
	name  string
	await func(context.Context, *lane) error
}

// strategiesOf are those that make sense in a mode; runs take them in turn.
func strategiesOf(mode v1.DrainMode) []strategy {
	strategies := []strategy{
		{"at random", atRandom},
		{"after a heartbeat", afterHeartbeat},
		{"as the stop arrives", func(ctx context.Context, l *lane) error { return l.after(ctx, stopping, 0) }},
		{"after the stop", func(ctx context.Context, l *lane) error { return l.after(ctx, stopped, 100*time.Millisecond) }},
	}
	if mode == v1.DrainQuiet {
		strategies = append(strategies,
			strategy{"after TSTP", func(ctx context.Context, l *lane) error { return l.after(ctx, told, 2*l.Worker.Beat) }},
			strategy{"once quiet", func(ctx context.Context, l *lane) error { return l.after(ctx, quiet, pollPeriod) }})
	}
	return strategies
}

// atRandom is some time around the stop.
func atRandom(ctx context.Context, l *lane) error {
	begin := l.idleAt()
	return sleepUntil(ctx, begin.Add(rand.N(l.idleTimeout+2*pollPeriod+3*l.Worker.Beat)))
}

// afterHeartbeat is just after a heartbeat around the stop: one after which a worker seems idle.
func afterHeartbeat(ctx context.Context, l *lane) error {
	over := l.next(stopped)
	if err := atRandom(ctx, l); err != nil {
		return err
	}
	select {
	case <-l.next(heartbeat):
	case <-over: // there is none: about when it would have been
		return sleepUntil(ctx, time.Now().Add(rand.N(l.Worker.Beat)))
	case <-ctx.Done():
		return ctx.Err()
	}
	return nil
}

// after is a random time after a moment, or after the stop if it passed unnoticed.
func (l *lane) after(ctx context.Context, what moment, longest time.Duration) error {
	over := l.next(stopped)
	select {
	case <-l.next(what):
	case <-over:
	case <-ctx.Done():
		return ctx.Err()
	}
	if longest == 0 {
		return nil
	}
	return sleepUntil(ctx, time.Now().Add(rand.N(longest)))
}

// settleTime is how long the operator mistrusts heartbeats after its first look and after a process
// has vanished, as in internal/queue. Another value would only make the guess of a stop's time worse.
const settleTime = 30 * time.Second

// idleAt is when the idle timeout begins to matter: now, or when the last stop is settled.
func (l *lane) idleAt() time.Time {
	now, settled := time.Now(), l.start.Add(settleTime)
	if stops := l.times(stopped); len(stops) > 0 {
		settled = stops[len(stops)-1].Add(settleTime)
	}
	if settled.After(now) {
		return settled
	}
	return now
}

func sleepUntil(ctx context.Context, at time.Time) error {
	timer := time.NewTimer(time.Until(at))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
