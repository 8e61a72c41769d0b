package queue

import (
	"context"
	"math/rand/v2"
	"time"
)

// sleep waits for a while, or for the context's end.
func sleep(ctx context.Context, d time.Duration) {
	if d <= 0 {
		return
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// factor changes a wait.
type factor float64

// jitter changes waits by up to a tenth to either side, so that many servers spread.
func jitter() factor { return factor(0.9 + rand.Float64()/5) }

func (f factor) of(d time.Duration) time.Duration { return time.Duration(float64(f) * float64(d)) }

// pulse is the time between the moments at which all Hubs do together what is not urgent. An operator of
// a hundred servers with nothing to do then wakes once in a while, and not for each of them: waking
// is most of what it costs.
const pulse = time.Second

// onPulse shortens a wait, unless it is a short one, so that it ends with a pulse.
func onPulse(now time.Time, wait time.Duration) time.Duration {
	if wait < 4*pulse {
		return wait
	}
	return wait - time.Duration(now.Add(wait).UnixNano()%int64(pulse))
}
